#pragma once
/// Lacuna: a just-in-time compiler for sparse attention. See README.md; every stage is in design order:
/// text -> Pattern -> Spec -> Program -> forward.
#include "lacuna/builder.hpp"
#include "lacuna/engine.hpp"
#include "lacuna/error.hpp"
#include "lacuna/pattern.hpp"
#include "lacuna/tensor.hpp"
#include "lacuna/version.hpp"
