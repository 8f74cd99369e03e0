#include "compiler/ir/sequence.h"

#include "compiler/ir/element.h"
#include "compiler/ir/scalar.h"

namespace lacuna::ir {

std::vector<Sequence> sequences_of(const Spec& spec, const Args& args, const Call& call) {
  validate_lengths(spec, args, call);
  const auto at = [](const TensorView& view, std::int64_t i) {
    return load<std::int32_t>(view.data, i * view.strides[0]);
  };
  std::vector<Sequence> sequences;
  for (std::int64_t s = 0; s < call.shape.batch; ++s) {
    Sequence sequence{0, call.shape.queries, 0, call.shape.keys, 0};
    if (spec.lengths == Lengths::packed) {
      sequence.q_start = at(args.cu_seqlens_q, s);
      sequence.q_len = at(args.cu_seqlens_q, s + 1) - sequence.q_start;
      sequence.k_start = at(args.cu_seqlens_k, s);
      sequence.k_len = at(args.cu_seqlens_k, s + 1) - sequence.k_start;
    }
    if (args.q_lens.present()) sequence.q_len = at(args.q_lens, s);
    if (args.k_lens.present()) sequence.k_len = at(args.k_lens, s);
    sequence.offset = static_cast<std::int32_t>(sequence.k_len - sequence.q_len);
    if (call.has_offset) sequence.offset = call.offset;
    if (args.offsets.present()) sequence.offset = at(args.offsets, s);
    sequences.push_back(sequence);
  }
  return sequences;
}

}  // namespace lacuna::ir
