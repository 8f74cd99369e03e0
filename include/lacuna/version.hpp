#pragma once

#define LACUNA_VERSION_MAJOR 0
#define LACUNA_VERSION_MINOR 1
#define LACUNA_VERSION_PATCH 0
#define LACUNA_VERSION "0.1.0"

/// The inline namespace of every public name: objects built against different layouts do not link. Its names, and no
/// others, are visible in liblacuna.so.
#define LACUNA_ABI v0 __attribute__((visibility("default")))
