/* The C ABI as a C program sees it: through lacuna.h and liblacuna.so alone. */
#include "lacuna/lacuna.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int failures = 0;
#define CHECK(condition)                                                               \
  do {                                                                                 \
    if (!(condition)) {                                                                \
      ++failures;                                                                      \
      fprintf(stderr, "%s:%d: %s\n  last error: %s\n", __FILE__, __LINE__, #condition, \
              lacuna_last_error());                                                    \
    }                                                                                  \
  } while (0)

enum { batch = 1, heads = 2, rows = 33, columns = 16 };
static const char* text = "attention near { param w: i32\n mask k <= q and q - k < w }";

static lacuna_tensor view(float* data, const int64_t* shape, int rank) {
  lacuna_tensor tensor = {data, LACUNA_F32, rank, shape, NULL};
  return tensor;
}

/* |error| of one row of O against the sum written out. */
static double error_of_row(const float* q, const float* k, const float* v, const float* o, int row,
                           int w) {
  double weight[rows], sum = 0, worst = 0;
  for (int key = 0; key < rows; ++key) {
    double dot = 0;
    for (int d = 0; d < columns; ++d) dot += (double)q[row * columns + d] * k[key * columns + d];
    weight[key] = key <= row && row - key < w ? exp(dot / sqrt(columns)) : 0;
    sum += weight[key];
  }
  for (int d = 0; d < columns; ++d) {
    double expected = 0;
    for (int key = 0; key < rows; ++key) expected += weight[key] / sum * v[key * columns + d];
    worst = fmax(worst, fabs(expected - o[row * columns + d]));
  }
  return worst;
}

static void check_nulls(void) {
  lacuna_engine* engine = NULL;
  lacuna_pattern* pattern = NULL;
  char* string = NULL;
  size_t bytes;
  CHECK(lacuna_engine_create(NULL, NULL) == LACUNA_ERROR_ARGUMENT);
  CHECK(strstr(lacuna_last_error(), "null") != NULL);
  CHECK(lacuna_engine_description(NULL, &string) == LACUNA_ERROR_ARGUMENT);
  CHECK(lacuna_engine_device(NULL, NULL) == LACUNA_ERROR_ARGUMENT);
  CHECK(lacuna_devices(NULL) == LACUNA_ERROR_ARGUMENT);
  CHECK(lacuna_pattern_parse(NULL, NULL, NULL, &pattern) == LACUNA_ERROR_ARGUMENT);
  CHECK(lacuna_pattern_parse(text, NULL, NULL, NULL) == LACUNA_ERROR_ARGUMENT);
  CHECK(lacuna_pattern_is_entmax(NULL, NULL) == LACUNA_ERROR_ARGUMENT);
  CHECK(lacuna_program_create(engine, pattern, NULL, NULL) == LACUNA_ERROR_ARGUMENT);
  CHECK(lacuna_program_prepare(NULL) == LACUNA_ERROR_ARGUMENT);
  CHECK(lacuna_program_workspace(NULL, NULL, &bytes) == LACUNA_ERROR_ARGUMENT);
  CHECK(lacuna_program_explain(NULL, NULL, NULL) == LACUNA_ERROR_ARGUMENT);
  CHECK(lacuna_forward(NULL, NULL, NULL) == LACUNA_ERROR_ARGUMENT);
  CHECK(lacuna_memory_allocate(NULL, 1, NULL) == LACUNA_ERROR_ARGUMENT);
  CHECK(lacuna_memory_write(NULL, NULL, NULL, 1) == LACUNA_ERROR_ARGUMENT);
  CHECK(lacuna_memory_read(NULL, NULL, NULL, 1) == LACUNA_ERROR_ARGUMENT);
  CHECK(lacuna_tiles_bytes(NULL, NULL, &bytes) == LACUNA_ERROR_ARGUMENT);
  CHECK(lacuna_tiles_create(NULL, NULL, NULL, NULL, NULL) == LACUNA_ERROR_ARGUMENT);
  CHECK(lacuna_tiles_refresh(NULL, NULL, NULL) == LACUNA_ERROR_ARGUMENT);
  CHECK(lacuna_tiles_read(NULL, NULL, NULL) == LACUNA_ERROR_ARGUMENT);
  lacuna_tiles_destroy(NULL);
  CHECK(lacuna_sparsity_bytes(NULL, NULL, &bytes) == LACUNA_ERROR_ARGUMENT);
  CHECK(lacuna_sparsity_create(NULL, NULL, NULL) == LACUNA_ERROR_ARGUMENT);
  CHECK(lacuna_sparsity_read(NULL, NULL, NULL) == LACUNA_ERROR_ARGUMENT);
  lacuna_sparsity_destroy(NULL);
  lacuna_sparsity_rows_free(NULL);
  lacuna_tile_rows_free(NULL);
  lacuna_engine_destroy(NULL);
  lacuna_pattern_destroy(NULL);
  lacuna_program_destroy(NULL);
  lacuna_memory_release(NULL, NULL);
  lacuna_string_free(NULL);
}

static void check_pattern_errors(void) {
  lacuna_pattern* pattern = NULL;
  CHECK(lacuna_pattern_parse("attention a {\n  mask windw(3)\n}", "local.lac", NULL, &pattern) ==
        LACUNA_ERROR_PATTERN);
  CHECK(strncmp(lacuna_last_error(), "local.lac:2:8: ", 15) == 0);
  CHECK(strchr(lacuna_last_error(), '^') != NULL);
  CHECK(pattern == NULL);
}

static void check_struct_sizes(const lacuna_engine* engine, const lacuna_pattern* pattern) {
  struct {
    lacuna_spec spec;
    int64_t later;
  } newer = {{0}, 0};
  lacuna_program* program = NULL;
  newer.spec.dtype = LACUNA_F32;
  newer.spec.head_dim = columns;
  CHECK(lacuna_program_create(engine, pattern, &newer.spec, &program) == LACUNA_ERROR_ARGUMENT);
  CHECK(strstr(lacuna_last_error(), "sizeof") != NULL);
  newer.spec.size = sizeof newer;
  CHECK(lacuna_program_create(engine, pattern, &newer.spec, &program) == LACUNA_OK);
  lacuna_program_destroy(program);
  newer.later = 1;
  CHECK(lacuna_program_create(engine, pattern, &newer.spec, &program) == LACUNA_ERROR_ARGUMENT);
  newer.spec.size = offsetof(lacuna_spec, statistic); /* an older caller: the rest is 0 */
  CHECK(lacuna_program_create(engine, pattern, &newer.spec, &program) == LACUNA_OK);
  lacuna_program_destroy(program);
  newer.spec.dtype = 77;
  CHECK(lacuna_program_create(engine, pattern, &newer.spec, &program) == LACUNA_ERROR_ARGUMENT);
  CHECK(strstr(lacuna_last_error(), "spec.dtype is 77") != NULL);
}

/* Entmax of the constant 1 is softmax; of a param, it is not, whatever the param is. */
static void check_weights(void) {
  const char* texts[3] = {"attention a { weights entmax(1) }",
                          "attention a { param al: f32 = 1.0\n weights entmax(al) }",
                          "attention a { weights sparsemax }"};
  for (int i = 0; i < 3; ++i) {
    lacuna_pattern* pattern = NULL;
    int32_t is_entmax = -1;
    CHECK(lacuna_pattern_parse(texts[i], NULL, NULL, &pattern) == LACUNA_OK);
    CHECK(lacuna_pattern_is_entmax(pattern, &is_entmax) == LACUNA_OK && is_entmax == (i > 0));
    lacuna_pattern_destroy(pattern);
  }
}

static void* fail_quietly(void* engine) {
  lacuna_forward(NULL, NULL, NULL);
  return engine;
}

/* The text of the last error is this thread's own. */
static void check_error_per_thread(void) {
  lacuna_pattern* pattern = NULL;
  pthread_t thread;
  lacuna_pattern_parse("nonsense", "here.lac", NULL, &pattern);
  pthread_create(&thread, NULL, fail_quietly, NULL);
  pthread_join(thread, NULL);
  CHECK(strstr(lacuna_last_error(), "here.lac") != NULL);
}

static void check_forward(lacuna_engine* engine) {
  static float q[heads * rows * columns], k[heads * rows * columns], v[heads * rows * columns],
      o[heads * rows * columns];
  const int64_t shape[4] = {batch, heads, rows, columns};
  lacuna_pattern* pattern = NULL;
  lacuna_program* program = NULL;
  lacuna_spec spec = {sizeof spec, LACUNA_F32, columns, 0, 0, 0, 0, NULL, 0};
  lacuna_shape extents = {batch, heads, heads, rows, rows};
  lacuna_param w = {"w", LACUNA_I32, {7}};
  lacuna_args args = {0};
  size_t bytes = 1;
  char* plan = NULL;
  const unsigned seed =
      getenv("LACUNA_SEED") ? (unsigned)atoi(getenv("LACUNA_SEED")) : (unsigned)time(NULL);

  fprintf(stderr, "LACUNA_SEED=%u\n", seed);
  srand(seed);
  for (int i = 0; i < heads * rows * columns; ++i) {
    q[i] = rand() / (float)RAND_MAX - 0.5f;
    k[i] = rand() / (float)RAND_MAX - 0.5f;
    v[i] = rand() / (float)RAND_MAX - 0.5f;
    o[i] = NAN;
  }
  CHECK(lacuna_pattern_parse(text, "near.lac", NULL, &pattern) == LACUNA_OK);
  check_struct_sizes(engine, pattern);
  CHECK(lacuna_program_create(engine, pattern, &spec, &program) == LACUNA_OK);
  lacuna_pattern_destroy(pattern);
  lacuna_engine_destroy(engine); /* a program keeps what it needs */
  if (!program) return;
  CHECK(lacuna_program_prepare(program) == LACUNA_OK);
  CHECK(lacuna_program_workspace(program, &extents, &bytes) == LACUNA_OK && bytes == 0);
  CHECK(lacuna_program_explain(program, &extents, &plan) == LACUNA_OK && plan && strlen(plan) > 20);
  lacuna_string_free(plan);

  args.size = sizeof args;
  args.q = view(q, shape, 4);
  args.k = view(k, shape, 4);
  args.v = view(v, shape, 4);
  args.o = view(o, shape, 4);
  CHECK(lacuna_forward(program, &args, NULL) == LACUNA_ERROR_ARGUMENT);
  CHECK(strstr(lacuna_last_error(), "w") != NULL);
  CHECK(isnan(o[0]));
  args.params = &w;
  args.param_count = 1;
  CHECK(lacuna_forward(program, &args, NULL) == LACUNA_OK);
  for (int head = 0; head < heads; ++head)
    for (int row = 0; row < rows; ++row) {
      int at = head * rows * columns;
      CHECK(error_of_row(q + at, k + at, v + at, o + at, row, 7) < 1e-5);
    }
  args.gap = view(o, shape, 3); /* beyond what a caller of before entmax has */
  CHECK(lacuna_forward(program, &args, NULL) == LACUNA_ERROR_ARGUMENT);
  CHECK(strstr(lacuna_last_error(), "gap is given") != NULL);
  args.size = offsetof(lacuna_args, zmax);
  CHECK(lacuna_forward(program, &args, NULL) == LACUNA_OK);
  args.q.rank = 9;
  CHECK(lacuna_forward(program, &args, NULL) == LACUNA_ERROR_ARGUMENT);
  args.q = view(q, NULL, 4);
  CHECK(lacuna_forward(program, &args, NULL) == LACUNA_ERROR_ARGUMENT);
  args.q = view(q, shape, 4);
  args.param_count = 2;
  args.params = NULL;
  CHECK(lacuna_forward(program, &args, NULL) == LACUNA_ERROR_ARGUMENT);
  lacuna_program_destroy(program);
}

/* Sparsemax and its statistic: weights from the threshold that zmax and gap say. */
static void check_entmax(lacuna_engine* engine) {
  static float q[heads * rows * columns], k[heads * rows * columns], v[heads * rows * columns],
      o[heads * rows * columns], escort[heads * rows * columns], zmax[heads * rows],
      gap[heads * rows];
  const int64_t shape[4] = {batch, heads, rows, columns};
  lacuna_pattern* pattern = NULL;
  lacuna_program* program = NULL;
  lacuna_spec spec = {sizeof spec, LACUNA_F32, columns, 0, 0, 0, 0, NULL, 0};
  lacuna_shape extents = {batch, heads, heads, rows, rows};
  lacuna_args args = {0};
  size_t bytes = 0;
  for (int i = 0; i < heads * rows * columns; ++i) {
    q[i] = 4 * (rand() / (float)RAND_MAX - 0.5f);
    k[i] = 4 * (rand() / (float)RAND_MAX - 0.5f);
    v[i] = rand() / (float)RAND_MAX - 0.5f;
  }
  spec.statistic = 1;
  spec.escort = 1;
  CHECK(lacuna_pattern_parse("attention a { mask causal\n weights sparsemax }", NULL, NULL,
                             &pattern) == LACUNA_OK);
  CHECK(lacuna_program_create(engine, pattern, &spec, &program) == LACUNA_OK);
  lacuna_pattern_destroy(pattern);
  if (!program) return;
  CHECK(lacuna_program_workspace(program, &extents, &bytes) == LACUNA_OK && bytes > 0);
  args.size = sizeof args;
  args.q = view(q, shape, 4);
  args.k = view(k, shape, 4);
  args.v = view(v, shape, 4);
  args.o = view(o, shape, 4);
  args.lse = view(zmax, shape, 3);
  CHECK(lacuna_forward(program, &args, NULL) == LACUNA_ERROR_ARGUMENT);
  CHECK(strstr(lacuna_last_error(), "lse") != NULL);
  memset(&args.lse, 0, sizeof args.lse);
  args.zmax = view(zmax, shape, 3);
  args.gap = view(gap, shape, 3);
  CHECK(lacuna_forward(program, &args, NULL) == LACUNA_ERROR_ARGUMENT);
  CHECK(strstr(lacuna_last_error(), "escort") != NULL);
  args.escort = view(escort, shape, 4);
  CHECK(lacuna_forward(program, &args, NULL) == LACUNA_OK);
  for (int r = 0; r < heads * rows; ++r) {
    const int head = r / rows, row = r % rows;
    double top = -INFINITY, sum = 0, expected[columns] = {0}, mean[columns] = {0};
    int live = 0;
    for (int key = 0; key <= row; ++key) {
      double z = 0;
      for (int d = 0; d < columns; ++d)
        z += (double)q[r * columns + d] * k[(head * rows + key) * columns + d] / sqrt(columns);
      top = fmax(top, z);
      const double weight = fmax(z - zmax[r] + gap[r], 0);
      sum += weight;
      live += weight > 0;
      for (int d = 0; d < columns; ++d) {
        expected[d] += weight * v[(head * rows + key) * columns + d];
        if (weight > 0) mean[d] += v[(head * rows + key) * columns + d];
      }
    }
    CHECK(fabs(top - zmax[r]) < 1e-5 && fabs(sum - 1) < 1e-4);
    for (int d = 0; d < columns; ++d)
      CHECK(fabs(expected[d] - o[r * columns + d]) < 1e-4 && /* and not NaN */
            fabs(mean[d] / live - escort[r * columns + d]) < 1e-4);
  }
  lacuna_program_destroy(program);
}

/* Causal sparsemax: keys with a weight are those less than the gap below zmax. */
static void check_sparsity(lacuna_engine* engine) {
  enum { rows = 150 };
  static float q[rows * columns], k[rows * columns], o[rows * columns], zmax[rows], gap[rows];
  const int64_t shape[4] = {1, 1, rows, columns};
  const lacuna_shape extents = {1, 1, 1, rows, rows}, others = {1, 1, 1, rows, rows + 1};
  lacuna_pattern* pattern = NULL;
  lacuna_program* program = NULL;
  lacuna_sparsity *sparsity = NULL, *other = NULL;
  lacuna_sparsity_rows* read = NULL;
  lacuna_spec spec = {0};
  lacuna_args args = {0};
  size_t bytes = 0;

  for (int i = 0; i < rows * columns; ++i) {
    q[i] = 4 * (rand() / (float)RAND_MAX - 0.5f);
    k[i] = 4 * (rand() / (float)RAND_MAX - 0.5f);
  }
  spec.size = sizeof spec;
  spec.dtype = LACUNA_F32;
  spec.head_dim = columns;
  spec.sparsity = 1;
  CHECK(lacuna_pattern_parse("attention a { mask causal }", NULL, NULL, &pattern) == LACUNA_OK);
  CHECK(lacuna_program_create(engine, pattern, &spec, &program) == LACUNA_ERROR_ARGUMENT);
  CHECK(strstr(lacuna_last_error(), "'a', which weighs by softmax") != NULL && !program);
  lacuna_pattern_destroy(pattern);
  CHECK(lacuna_pattern_parse("attention a { mask causal\n weights sparsemax }", NULL, NULL,
                             &pattern) == LACUNA_OK);
  spec.statistic = 1;
  CHECK(lacuna_program_create(engine, pattern, &spec, &program) == LACUNA_OK);
  lacuna_pattern_destroy(pattern);
  if (!program) return;
  args.size = sizeof args;
  args.q = view(q, shape, 4);
  args.k = args.v = view(k, shape, 4);
  args.o = view(o, shape, 4);
  args.zmax = view(zmax, shape, 3);
  args.gap = view(gap, shape, 3);
  CHECK(lacuna_forward(program, &args, NULL) == LACUNA_ERROR_ARGUMENT);
  CHECK(strstr(lacuna_last_error(), "sparsity is missing") != NULL);
  CHECK(lacuna_sparsity_bytes(program, &extents, &bytes) == LACUNA_OK && bytes >= 16 * rows);
  CHECK(lacuna_sparsity_create(program, &others, &other) == LACUNA_OK);
  CHECK(lacuna_sparsity_read(other, NULL, &read) == LACUNA_ERROR_ARGUMENT && !read);
  CHECK(strstr(lacuna_last_error(), "holds nothing before a call") != NULL);
  args.sparsity = other;
  CHECK(lacuna_forward(program, &args, NULL) == LACUNA_ERROR_ARGUMENT);
  CHECK(strstr(lacuna_last_error(), "made for keys = 151, this call has 150") != NULL);
  CHECK(lacuna_sparsity_create(program, &extents, &sparsity) == LACUNA_OK);
  args.sparsity = sparsity;
  CHECK(lacuna_forward(program, &args, NULL) == LACUNA_OK);
  CHECK(lacuna_sparsity_read(sparsity, NULL, &read) == LACUNA_OK && read);
  for (int r = 0; read && r < rows; ++r) {
    const int64_t tile = r / read->tile_q;
    int certain = 0, possible = 0;
    int64_t at = read->offsets[tile];
    for (int key = 0; key <= r; ++key) {
      double z = 0;
      for (int d = 0; d < columns; ++d) z += (double)q[r * columns + d] * k[key * columns + d];
      const double above = z / sqrt(columns) - zmax[r] + gap[r];
      certain += above > 1e-5;
      possible += above > -1e-5;
      while (at < read->offsets[tile + 1] && read->keys[at] < key) ++at;
      CHECK(above < 1e-5 || (at < read->offsets[tile + 1] && read->keys[at] == key));
    }
    CHECK(read->support[r] >= certain && read->support[r] <= possible);
    CHECK(read->passes[r] >= 2 && read->residual[r] < 1e-3f);
    CHECK(read->candidates[r] == 0 || read->candidates[r] >= read->support[r]);
  }
  CHECK(!read || (read->size == sizeof *read && read->rows == rows &&
                  read->tiles == read->q_tiles && read->live_tiles[0] > 0));
  lacuna_sparsity_rows_free(read);
  lacuna_sparsity_destroy(other);
  lacuna_sparsity_destroy(sparsity);
  lacuna_program_destroy(program);
}

/* Chunks of 40: lists made once serve two calls, the second after a change of a param. */
static void check_tiles(lacuna_engine* engine) {
  enum { rows = 200, most = 1 << 20 };
  static float q[rows * columns], own[rows * columns], shared[rows * columns];
  static unsigned char block[most + 16];
  const int64_t shape[4] = {1, 1, rows, columns}, extent = most;
  const lacuna_shape extents = {1, 1, 1, rows, rows};
  lacuna_tensor memory = {block + (16 - (size_t)block % 16) % 16, LACUNA_U8, 1, &extent, NULL};
  lacuna_pattern* pattern = NULL;
  lacuna_program* program = NULL;
  lacuna_tiles* tiles = NULL;
  lacuna_tile_rows* read = NULL;
  lacuna_spec spec = {sizeof spec, LACUNA_F32, columns, 0, 0, 0, 0, NULL, 0};
  lacuna_param w = {"w", LACUNA_I32, {40}};
  lacuna_args args = {0};
  size_t bytes = 0;

  for (int i = 0; i < rows * columns; ++i) q[i] = rand() / (float)RAND_MAX - 0.5f;
  CHECK(lacuna_pattern_parse("attention a { param w: i32\n mask q // w == k // w }", NULL, NULL,
                             &pattern) == LACUNA_OK);
  CHECK(lacuna_program_create(engine, pattern, &spec, &program) == LACUNA_OK);
  lacuna_pattern_destroy(pattern);
  if (!program) return;
  args.size = sizeof args;
  args.q = args.k = view(q, shape, 4);
  args.params = &w;
  args.param_count = 1;
  CHECK(lacuna_tiles_bytes(program, &extents, &bytes) == LACUNA_OK && bytes > 0 && bytes <= most);
  CHECK(lacuna_tiles_create(program, &args, &memory, NULL, &tiles) == LACUNA_OK);
  CHECK(lacuna_tiles_read(tiles, NULL, &read) == LACUNA_OK && read);
  if (read) {
    CHECK(read->size == sizeof *read && read->list_batch == 1 && read->list_heads == 1);
    CHECK(read->rows == read->q_tiles && read->rows == (rows + read->tile_q - 1) / read->tile_q);
    for (int r = 0; r < read->rows; ++r) { /* the key tiles from the first chunk to the last */
      const int last = (r + 1) * read->tile_q < rows ? (r + 1) * read->tile_q - 1 : rows - 1;
      const int from = r * read->tile_q / 40 * 40 / read->tile_k;
      const int end = (last / 40 * 40 + 39 < rows ? last / 40 * 40 + 39 : rows - 1) / read->tile_k;
      CHECK(read->offsets[2 * r + 2] - read->offsets[2 * r] == end - from + 1);
    }
  }
  lacuna_tile_rows_free(read);
  args.v = view(q, shape, 4);
  args.o = view(own, shape, 4);
  CHECK(lacuna_forward(program, &args, NULL) == LACUNA_OK);
  args.tiles = tiles;
  args.o = view(shared, shape, 4);
  CHECK(lacuna_forward(program, &args, NULL) == LACUNA_OK);
  CHECK(memcmp(own, shared, sizeof own) == 0);
  w.value.integer = 64;
  CHECK(lacuna_forward(program, &args, NULL) == LACUNA_ERROR_ARGUMENT);
  CHECK(strstr(lacuna_last_error(), "param 'w' = 40, this call has 64") != NULL);
  CHECK(lacuna_tiles_refresh(tiles, &args, NULL) == LACUNA_OK);
  CHECK(lacuna_forward(program, &args, NULL) == LACUNA_OK);
  CHECK(memcmp(own, shared, sizeof own) != 0);
  memory.data = block + (16 - (size_t)block % 16) % 16 + 1;
  lacuna_tiles_destroy(tiles);
  CHECK(lacuna_tiles_create(program, &args, &memory, NULL, &tiles) == LACUNA_ERROR_ARGUMENT);
  CHECK(strstr(lacuna_last_error(), "tiles: memory: it starts 1 bytes") != NULL && !tiles);
  lacuna_program_destroy(program);
}

int main(void) {
  lacuna_engine* engine = NULL;
  lacuna_engine_options options = {0};
  char* string = NULL;
  int32_t kind = 0;

  CHECK(strcmp(lacuna_version(), "0.1.0") == 0);
  CHECK(strcmp(lacuna_last_error(), "") == 0);
  check_nulls();
  check_pattern_errors();
  check_error_per_thread();
  check_weights();
  CHECK(lacuna_devices(&string) == LACUNA_OK && strstr(string, "host") != NULL);
  lacuna_string_free(string);
  options.device = 9;
  CHECK(lacuna_engine_create(&options, &engine) == LACUNA_ERROR_ARGUMENT); /* size is not set */
  options.size = sizeof options;
  CHECK(lacuna_engine_create(&options, &engine) == LACUNA_ERROR_ARGUMENT);
  CHECK(strstr(lacuna_last_error(), "options.device is 9") != NULL);
  options.device = LACUNA_DEVICE_HOST;
  options.cache_dir = "";
  options.llvm_library = "/nowhere/liblacuna_llvm.so";
  CHECK(lacuna_engine_create(&options, &engine) == LACUNA_ERROR_UNAVAILABLE);
  CHECK(strstr(lacuna_last_error(), "/nowhere") != NULL);
  options.llvm_library = NULL;
  lacuna_status status = lacuna_engine_create(&options, &engine);
  if (status == LACUNA_ERROR_UNAVAILABLE) {
    fprintf(stderr, "forward is not tested: %s\n", lacuna_last_error());
    return failures != 0;
  }
  CHECK(status == LACUNA_OK);
  CHECK(lacuna_engine_device(engine, &kind) == LACUNA_OK && kind == LACUNA_DEVICE_HOST);
  CHECK(lacuna_engine_description(engine, &string) == LACUNA_OK && strstr(string, "host") != NULL);
  lacuna_string_free(string);
  void* memory = NULL;
  int there = 5, back = 0;
  CHECK(lacuna_memory_allocate(engine, sizeof there, &memory) == LACUNA_OK);
  CHECK(lacuna_memory_write(engine, memory, &there, sizeof there) == LACUNA_OK);
  CHECK(lacuna_memory_read(engine, &back, memory, sizeof back) == LACUNA_OK && back == 5);
  lacuna_memory_release(engine, memory);
  check_tiles(engine);
  check_sparsity(engine);
  check_entmax(engine);
  check_forward(engine);
  return failures != 0;
}
