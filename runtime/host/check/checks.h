#pragma once
namespace lacuna::runtime::host {

/// What a checked launch looks for beyond what every launch reports (out-of-bounds and misaligned
/// accesses, divergent barriers, absent lanes, deadlocks).
struct Checks {
  bool values = false;  ///< uninitialised registers, predicates, shared and local memory
  bool races = false;   ///< accesses of one CTA that nothing orders
  bool copies = false;  ///< accesses to what an asynchronous copy still reads or writes
  /// Asynchronous copies arrive at the wait that covers them, and poison their destination until
  /// then; otherwise they arrive at once.
  bool late_copies = false;

  bool any() const { return values || races || copies || late_copies; }
  static Checks all() { return {.values = true, .races = true, .copies = true}; }
};

}  // namespace lacuna::runtime::host
