#pragma once
// The border between the library that frameworks load and the one that has clang inside: plain C
// structs, so that a different C++ library on either side cannot matter. What the plug-in
// allocates, the plug-in frees.
#include <stddef.h>
#include <stdint.h>

extern "C" {

struct lacuna_llvm_text {
  const char* data;
  size_t size;
};

struct lacuna_llvm_file {
  lacuna_llvm_text name, text;
};

struct lacuna_llvm_request {
  lacuna_llvm_file main;
  const lacuna_llvm_file* headers;
  size_t header_count;
  const lacuna_llvm_text* arguments;  // cc1's, without the name of the main file
  size_t argument_count;
  lacuna_llvm_text entry;  // the kernel that the loops are counted of
  int32_t keep_ir;         // fill ir and loops
};

struct lacuna_llvm_count {
  lacuna_llvm_text name;
  int32_t count;
};

struct lacuna_llvm_loop {
  int32_t depth;
  lacuna_llvm_text place, trip_count;
  const lacuna_llvm_count* counts;
  size_t count_count;
};

struct lacuna_llvm_result {
  int32_t ok;
  lacuna_llvm_text log;  // "file:line:column: error: text", one a line; may hold warnings where ok
  lacuna_llvm_text ptx, ir;
  const lacuna_llvm_loop* loops;
  size_t loop_count;
};

// Raised with every change of the structs above.
enum { lacuna_llvm_interface = 1 };

struct lacuna_llvm_table {
  int32_t interface;
  const char* identity;  // "19.1.7 (Debian clang version 19.1.7 ...)"
  const char* archs;     // "sm_80 sm_90 sm_90a ...", those that this LLVM knows
  // Thread-safe; never throws, never null.
  const lacuna_llvm_result* (*compile)(const lacuna_llvm_request* request);
  void (*release)(const lacuna_llvm_result* result);
};

// The one exported symbol of liblacuna_llvm.so.
const lacuna_llvm_table* lacuna_llvm_entry();

}  // extern "C"
