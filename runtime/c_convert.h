#pragma once
#include "lacuna/engine.hpp"
#include "lacuna/lacuna.h"

#include <string>
#include <string_view>
#include <vector>

struct lacuna_tiles {
  lacuna::Tiles tiles;
};

struct lacuna_sparsity {
  lacuna::Sparsity sparsity;
};

namespace lacuna::runtime {

[[noreturn]] void refuse_null(const char* name);

/// The pointer itself. Throws Error{argument} where it is null.
template <typename T>
T* required(T* pointer, const char* name) {
  if (!pointer) refuse_null(name);
  return pointer;
}

/// Structs of lacuna.h as values of the C++ surface. All throw Error{argument} that names the
/// field; a struct smaller than today's is read as far as it goes, its other fields are 0.
EngineOptions options_of(const lacuna_engine_options* options);
Spec spec_of(const lacuna_spec* spec, const Pattern& pattern);
Shape shape_of(const lacuna_shape& shape);
/// On every call's path: formats nothing unless it refuses.
TensorView view_of(const lacuna_tensor& tensor, std::string_view name);

/// The arrays of `rows` behind one another, as a C caller sees them.
class FlatTileRows : public lacuna_tile_rows {
 public:
  explicit FlatTileRows(const TileRows& rows);
  FlatTileRows(const FlatTileRows&) = delete;
  FlatTileRows& operator=(const FlatTileRows&) = delete;

 private:
  std::vector<std::int32_t> offsets_, indices_, order_;
};

/// The arrays of `rows`, as a C caller sees them.
class FlatSparsityRows : public lacuna_sparsity_rows {
 public:
  explicit FlatSparsityRows(SparsityRows rows);
  FlatSparsityRows(const FlatSparsityRows&) = delete;
  FlatSparsityRows& operator=(const FlatSparsityRows&) = delete;

 private:
  SparsityRows own_;
};

/// Args and the arrays that its spans point into.
class BoundArgs {
 public:
  explicit BoundArgs(const lacuna_args* given);
  BoundArgs(const BoundArgs&) = delete;
  BoundArgs& operator=(const BoundArgs&) = delete;

  const Args& args() const { return args_; }

 private:
  void bind_names(const lacuna_args& given);

  Args args_;
  std::vector<NamedValue> params_;
  std::vector<NamedTensor> tensors_;
};

}  // namespace lacuna::runtime
