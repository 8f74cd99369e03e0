#ifndef LACUNA_H
#define LACUNA_H
/* Lacuna's C ABI. A function that can fail returns a status; the text of the last failure on this
 * thread is lacuna_last_error(). Every function may be called from any thread; a handle is
 * destroyed once, when no other call uses it, in any order: a program keeps what it needs of its
 * engine and pattern. A null handle or pointer is an error, never a crash; destroying null does
 * nothing.
 *
 * Structs whose first field is `size` are set to sizeof(struct) by the caller and may grow at their
 * end: start from zero, set size, then what is needed. In all of them 0 and NULL mean "the
 * default". */
#include <stddef.h>
#include <stdint.h>

#define LACUNA_API __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

typedef enum lacuna_status {
  LACUNA_OK = 0,
  LACUNA_ERROR_PATTERN = 1,     /* the text is wrong; the message has line, column and caret */
  LACUNA_ERROR_ARGUMENT = 2,    /* a tensor, shape, dtype, param, option or handle is wrong */
  LACUNA_ERROR_UNSUPPORTED = 3, /* correct, but cannot be done here; the message names the limit */
  LACUNA_ERROR_UNAVAILABLE =
      4, /* a library, device or file is missing; says where it was looked for */
  LACUNA_ERROR_COMPILATION =
      5, /* generated code did not compile; lacuna_last_log() has log and source */
  LACUNA_ERROR_DEVICE = 6,  /* a launch failed, or the host device found a fault */
  LACUNA_ERROR_IO = 7,      /* a file could not be read or written */
  LACUNA_ERROR_INTERNAL = 8 /* anything else: out of memory, a bug of ours */
} lacuna_status;

typedef enum lacuna_dtype {
  LACUNA_F32 = 1,
  LACUNA_F16 = 2,
  LACUNA_BF16 = 3,
  LACUNA_I64 = 4,
  LACUNA_I32 = 5,
  LACUNA_I16 = 6,
  LACUNA_I8 = 7,
  LACUNA_U8 = 8,
  LACUNA_BOOL = 9
} lacuna_dtype;

typedef enum lacuna_device_kind {
  LACUNA_DEVICE_HOST = 1,
  LACUNA_DEVICE_CUDA = 2
} lacuna_device_kind;
typedef enum lacuna_compiler_kind {
  LACUNA_COMPILER_NVRTC = 1,
  LACUNA_COMPILER_LLVM = 2
} lacuna_compiler_kind;
typedef enum lacuna_lengths {
  LACUNA_UNIFORM = 0,
  LACUNA_PADDED = 1,
  LACUNA_PACKED = 2
} lacuna_lengths;

typedef struct lacuna_engine
    lacuna_engine; /* one device, one compiler, and the caches between them */
typedef struct lacuna_pattern
    lacuna_pattern; /* one `attention` of a .lac text, resolved and typed */
typedef struct lacuna_program lacuna_program;   /* a compiled pattern */
typedef struct lacuna_tiles lacuna_tiles;       /* lists of tiles that outlive a call */
typedef struct lacuna_sparsity lacuna_sparsity; /* what a call of entmax found, and took */

/* A field that is 0 or NULL is as the environment says (LACUNA_DEVICE, ...), else its default. */
typedef struct lacuna_engine_options {
  size_t size;
  int32_t device;            /* lacuna_device_kind */
  int32_t ordinal;           /* which GPU */
  int32_t compiler;          /* lacuna_compiler_kind */
  int32_t threads;           /* of the host device; 0: all cores */
  int32_t validate;          /* 1: check values in device memory before every launch */
  const char* nvrtc_library; /* a path to libnvrtc */
  const char* llvm_library;  /* a path to liblacuna_llvm.so */
  const char* cache_dir;     /* "": no disk cache */
  uint64_t cache_bytes;
  void (*log)(const char* line,
              void* closure); /* one line per event, on the thread that caused it */
  void* log_closure;
  int32_t
      check_memory; /* 1: the host device looks for uninitialised values, races, missing waits */
  const char* schedule; /* tiles of flash forward by name, "128x64w4s2"; "": the model's choice */
} lacuna_engine_options;

/* The storage of one of the pattern's tensors, where it is not the declared type. */
typedef struct lacuna_storage {
  const char* name;
  int32_t dtype;
} lacuna_storage;

/* What to compile. No length, batch, head count, stride, offset, scale or param is part of it. */
typedef struct lacuna_spec {
  size_t size;
  int32_t dtype;     /* of Q, K, V: required */
  int32_t head_dim;  /* D: required */
  int32_t value_dim; /* Dv; 0: head_dim */
  int32_t output;    /* of O; 0: dtype */
  int32_t statistic; /* 1: also write the row statistic */
  int32_t lengths;   /* lacuna_lengths */
  const lacuna_storage* storage;
  size_t storage_count;
  int32_t escort;   /* 1: entmax also writes args.escort, which its gradient needs */
  int32_t sparsity; /* 1: entmax also writes args.sparsity */
} lacuna_spec;

/* A borrowed, strided view. Shape and strides count elements; strides NULL: contiguous. All zero:
 * absent. */
typedef struct lacuna_tensor {
  void* data;
  int32_t dtype;
  int32_t rank;
  const int64_t* shape;
  const int64_t* strides;
} lacuna_tensor;

typedef struct lacuna_param {
  const char* name;
  int32_t dtype; /* LACUNA_BOOL or LACUNA_I32: integer; LACUNA_F32: real */
  union {
    int32_t integer;
    float real;
  } value;
} lacuna_param;

typedef struct lacuna_named_tensor {
  const char* name;
  lacuna_tensor tensor;
} lacuna_named_tensor;

/* One call: Q [B,H,Nq,D], K [B,G,Nk,D], V [B,G,Nk,Dv], O [B,H,Nq,Dv], the statistic f32 [B,H,Nq].
 * Where the spec has statistic, softmax needs lse, the log of the sum of exponentials of a row's
 * scores (-inf where no key answers); entmax, unless its alpha is the constant 1, needs zmax, the
 * largest score, and gap, alpha - 1 times the distance from zmax down to the threshold below which
 * weights are 0, in (0,1] (-inf and 1 where no key answers). Where alpha is 1 when the call runs,
 * rows are softmax: zmax holds lse, and gap is 0. Other rows that are NaN have NaN in all. */
typedef struct lacuna_args {
  size_t size;
  lacuna_tensor q, k, v, o;
  lacuna_tensor lse; /* softmax, where the spec has statistic */
  const lacuna_param* params;
  size_t param_count;
  const lacuna_named_tensor* tensors;
  size_t tensor_count;
  const float* scale;                       /* NULL: 1/sqrt(D) */
  const int32_t* offset;                    /* NULL: k_len - q_len */
  lacuna_tensor offsets;                    /* instead of offset: i32, one per sequence */
  lacuna_tensor q_lens, k_lens;             /* padded: i32[B] */
  lacuna_tensor cu_seqlens_q, cu_seqlens_k; /* packed: i32[S+1] */
  lacuna_tensor workspace;                  /* u8, on 16 bytes; without it the device lends some */
  const lacuna_tiles* tiles;                /* lists made before; NULL: a call makes its own */
  lacuna_tensor zmax, gap;                  /* entmax, where the spec has statistic */
  lacuna_tensor escort;            /* entmax, where the spec has escort: as O, the mean of V
                                    * under weights that go as p^(2 - alpha) where p > 0 */
  const lacuna_sparsity* sparsity; /* written, where the spec has sparsity */
} lacuna_args;

/* queries and keys are per sequence, or totals where lengths are packed (batch is then the number
 * of sequences). */
typedef struct lacuna_shape {
  int64_t batch, heads, kv_heads, queries, keys;
} lacuna_shape;

/* Lists of tiles, copied to the host: row r, a tile of queries, visits the key tiles indices[i],
 * FULL for offsets[2 r] <= i < offsets[2 r + 1], PARTIAL from there to offsets[2 r + 2]. Tile i of
 * queries of list (b, h) is row (b list_heads + h) q_tiles + i; packed: sequence s owns those from
 * cu_seqlens_q[s] / tile_q + s on. */
typedef struct lacuna_tile_rows {
  size_t size;                    /* of this struct, as the library knows it */
  int32_t tile_q, tile_k;         /* queries and keys of a tile */
  int32_t list_batch, list_heads; /* 1: one list for all sequences, for all heads; kv_heads: for
                                     each group of heads */
  int32_t q_tiles;                /* rows of a list */
  int32_t rows;                   /* of all lists */
  const int32_t* offsets;         /* [2 rows + 1] */
  const int32_t* indices;         /* [offsets[2 rows]] */
  const int32_t* order;           /* [rows]: as they are worked on, longest first */
} lacuna_tile_rows;

/* What a call of entmax found, and took, copied to the host. Row i of head h of sequence b is
 * (b heads + h) queries + i, as in Q (packed: h queries + i). All 0 where alpha is 1, and of
 * absent rows. Tile i of queries of head h of sequence b is (b heads + h) q_tiles +
 * i; packed: sequence s owns those from cu_seqlens_q[s] / tile_q + s on, of h q_tiles. */
typedef struct lacuna_sparsity_rows {
  size_t size; /* of this struct, as the library knows it */
  int64_t rows;
  const int32_t* passes;     /* [rows]: times K was walked for the row's tile of queries */
  const int32_t* candidates; /* [rows]: keys that the threshold was solved among; 0: all scores */
  const int32_t* support;    /* [rows]: keys above the threshold, those with a weight */
  const float* residual;     /* [rows]: |F t^beta - 1| before the last step; NaN of a NaN row */
  int32_t tile_q, tile_k;    /* queries and keys of a tile */
  int32_t q_tiles;           /* tiles of queries of a head */
  int64_t tiles;
  const int32_t* live_tiles; /* [tiles]: tiles of keys that accumulate visits */
  const int64_t* offsets;    /* [tiles + 1] */
  const int32_t* keys; /* [offsets[tiles]]: of each tile, ascending: all that have a weight in it */
} lacuna_sparsity_rows;

/* "0.1.0"; never fails. */
LACUNA_API const char* lacuna_version(void);
/* What went wrong in this thread's last failed call, and the compiler's log if there is one; ""
 * before any. Valid until this thread's next failure. */
LACUNA_API const char* lacuna_last_error(void);
LACUNA_API const char* lacuna_last_log(void);
/* One line for each device that answers, best first. Free the text with lacuna_string_free. */
LACUNA_API lacuna_status lacuna_devices(char** text);
LACUNA_API void lacuna_string_free(char* text);

/* options NULL: as the environment says. */
LACUNA_API lacuna_status lacuna_engine_create(const lacuna_engine_options* options,
                                              lacuna_engine** engine);
LACUNA_API void lacuna_engine_destroy(lacuna_engine* engine);
LACUNA_API lacuna_status lacuna_engine_description(const lacuna_engine* engine, char** text);
/* A lacuna_device_kind: which memory the tensors of a call are in. */
LACUNA_API lacuna_status lacuna_engine_device(const lacuna_engine* engine, int32_t* kind);

/* origin stands in messages; attention NULL: the only one of the text. */
LACUNA_API lacuna_status lacuna_pattern_parse(const char* text, const char* origin,
                                              const char* attention, lacuna_pattern** pattern);
LACUNA_API void lacuna_pattern_destroy(lacuna_pattern* pattern);
/* 1: the statistic of its rows is zmax and gap; 0: lse. */
LACUNA_API lacuna_status lacuna_pattern_is_entmax(const lacuna_pattern* pattern,
                                                  int32_t* is_entmax);

/* Plans; kernels are compiled on first use or by lacuna_program_prepare. */
LACUNA_API lacuna_status lacuna_program_create(const lacuna_engine* engine,
                                               const lacuna_pattern* pattern,
                                               const lacuna_spec* spec, lacuna_program** program);
LACUNA_API void lacuna_program_destroy(lacuna_program* program);
/* Compiles and loads every variant, so that no later call compiles: needed before graph capture. As many at a time as
   there are cores, on threads of its own that have ended when it returns. */
LACUNA_API lacuna_status lacuna_program_prepare(const lacuna_program* program);
LACUNA_API lacuna_status lacuna_program_workspace(const lacuna_program* program,
                                                  const lacuna_shape* shape, size_t* bytes);
/* The plan as text, with tiles where shape is given (NULL: none). Free it with lacuna_string_free.
 */
LACUNA_API lacuna_status lacuna_program_explain(const lacuna_program* program,
                                                const lacuna_shape* shape, char** text);

/* stream: a CUstream, NULL for the legacy default one; the host device has finished when this
 * returns. */
LACUNA_API lacuna_status lacuna_forward(const lacuna_program* program, const lacuna_args* args,
                                        void* stream);

/* p = entmax(x) along the last axis, alpha 1 (softmax) or from 1.01 to 2: of each row
 * [c x - tau]+^(1/c), c = alpha - 1, with the tau for which they sum to 1. Both f16, bf16 or f32,
 * of one shape, the last axis contiguous; p is x itself, or shares no memory with it. A row of -inf
 * alone gives zeros, one with a NaN or +inf NaN. */
LACUNA_API lacuna_status lacuna_entmax(const lacuna_engine* engine, const lacuna_tensor* x,
                                       const lacuna_tensor* p, float alpha, void* stream);

/* Lists of tiles that outlive a call: made once from the masks, read by any number of calls
 * (lacuna_args.tiles) of this program or of others on the same device with the same masks, lengths,
 * shape and tile. Any difference of those, of the params that the masks read, of the offset, or in
 * which of offsets, q_lens and k_lens are given, is an error that names it. What is in tensors is
 * not compared: where that has changed, refresh. Lists are ready in the order of the stream on
 * which they were made; any number of threads may read them while none refreshes. Destroy them when
 * the calls that read them have run, and no graph that does is left; the program and the engine may
 * be gone by then.
 *
 * Bytes that lists take at most, with the scratch for refreshing; an error where masks are bands
 * alone, whose tiles need no list. */
LACUNA_API lacuna_status lacuna_tiles_bytes(const lacuna_program* program,
                                            const lacuna_shape* shape, size_t* bytes);
/* Of args it takes the shapes of Q and K and all that masks read. memory: u8, on 16 bytes, which
 * outlives the lists; NULL or absent: the device lends some, which no stream may do while it
 * records a graph. */
LACUNA_API lacuna_status lacuna_tiles_create(const lacuna_program* program, const lacuna_args* args,
                                             const lacuna_tensor* memory, void* stream,
                                             lacuna_tiles** tiles);
LACUNA_API void lacuna_tiles_destroy(lacuna_tiles* tiles);
/* Makes them anew in place, for args of the same shape: allocates nothing, and a CUDA graph may
 * record it. */
LACUNA_API lacuna_status lacuna_tiles_refresh(lacuna_tiles* tiles, const lacuna_args* args,
                                              void* stream);
/* Waits for the stream and copies: for tools and tests. Free them with lacuna_tile_rows_free. */
LACUNA_API lacuna_status lacuna_tiles_read(const lacuna_tiles* tiles, void* stream,
                                           lacuna_tile_rows** rows);
LACUNA_API void lacuna_tile_rows_free(lacuna_tile_rows* rows);

/* Room for args.sparsity in calls of this program and shape; every call writes it anew, and one
 * runs at a time. An error where the spec does not ask for it. */
LACUNA_API lacuna_status lacuna_sparsity_bytes(const lacuna_program* program,
                                               const lacuna_shape* shape, size_t* bytes);
LACUNA_API lacuna_status lacuna_sparsity_create(const lacuna_program* program,
                                                const lacuna_shape* shape,
                                                lacuna_sparsity** sparsity);
LACUNA_API void lacuna_sparsity_destroy(lacuna_sparsity* sparsity);
/* Waits for the stream of the last call and copies what it left; an error before any. Free them
 * with lacuna_sparsity_rows_free. */
LACUNA_API lacuna_status lacuna_sparsity_read(const lacuna_sparsity* sparsity, void* stream,
                                              lacuna_sparsity_rows** rows);
LACUNA_API void lacuna_sparsity_rows_free(lacuna_sparsity_rows* rows);

/* Memory that the engine's device can reach, for callers that bring no allocator. On the host
 * device any memory will do. Writes and reads wait for the device. */
LACUNA_API lacuna_status lacuna_memory_allocate(const lacuna_engine* engine, size_t bytes,
                                                void** memory);
LACUNA_API void lacuna_memory_release(const lacuna_engine* engine, void* memory);
LACUNA_API lacuna_status lacuna_memory_write(const lacuna_engine* engine, void* to,
                                             const void* from, size_t bytes);
LACUNA_API lacuna_status lacuna_memory_read(const lacuna_engine* engine, void* to, const void* from,
                                            size_t bytes);

#ifdef __cplusplus
}
#endif
#endif
