// One mask, many layers: its lists of tiles are made once, and each layer's call reads them.
//
//   build/examples/04_shared_tiles
#include "lacuna/lacuna.hpp"

#include <cstdio>
#include <vector>

int main() try {
  using namespace lacuna;
  EngineOptions options = EngineOptions::from_environment();
  options.device = DeviceKind::host;
  const Engine engine(options);
  const int n = 256, d = 32, layers = 3;
  const Program attend = engine.program({.pattern = Pattern::parse(R"(
attention packed {
  tensor doc: i32[batch, key]          # which document each token belongs to
  mask   causal
  mask   document(doc)
})"),
                                         .dtype = DType::f32,
                                         .head_dim = d,
                                         .value_dim = d});

  std::vector<std::int32_t> doc(n);
  for (int i = 0; i < n; ++i) doc[i] = i / 100;
  const NamedTensor tensors[] = {{"doc", TensorView::contiguous(doc.data(), DType::i32, {1, n})}};
  std::vector<float> q(n * d, 0.5f), v(n * d), o(n * d);
  auto view = [&](std::vector<float>& data) {
    return TensorView::contiguous(data.data(), DType::f32, {1, 1, n, d});
  };

  // Once per batch of tokens; in a loop over batches of one shape, refresh() makes them in place.
  Args args{.q = view(q), .k = view(q), .v = view(v), .o = view(o), .tensors = tensors};
  const Tiles tiles = attend.tiles(args);
  args.tiles = &tiles;
  float last = 0;
  for (int layer = 1; layer <= layers; ++layer) {
    v.assign(v.size(), static_cast<float>(layer));
    attend.forward(args);
    last = o[(n - 1) * d];
  }

  const TileRows read = tiles.read();  // for a look; it waits for the device
  std::size_t visited = 0;
  for (const TileRows::Row& row : read.rows) visited += row.full.size() + row.partial.size();
  std::printf("%zu tiles of %d x %d, made once, read by %d layers\n", visited, read.tile_q,
              read.tile_k, layers);

  // Another sequence of tokens has other tiles: what differs is named, not guessed.
  args.offset = 0;
  args.q.shape[2] = n / 2;
  args.o.shape[2] = n / 2;
  try {
    attend.forward(args);
    return 1;
  } catch (const Error& error) {
    std::printf("%s\n", error.what());
  }
  return last > 2.99f && last < 3.01f ? 0 : 1;
} catch (const lacuna::Error& error) {
  std::fprintf(stderr, "%s\n%s\n", error.what(), error.log().c_str());
  return 1;
}
