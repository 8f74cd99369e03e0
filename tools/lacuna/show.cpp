#include "compiler/ir/reference.h"
#include "tools/lacuna/command.h"
#include "tools/lacuna/execute.h"
#include "tools/lacuna/files.h"
#include "tools/lacuna/head.h"
#include "tools/lacuna/options.h"
#include "tools/lacuna/picture.h"
#include "tools/lacuna/show_live.h"
#include "tools/lacuna/specs.h"

#include <fmt/format.h>

namespace lacuna::tool {
namespace {

struct ShowFlags {
  PatternFlags pattern;
  std::string shape, head = "0", batch = "0", seed = "1", svg, color = "auto", arch = "sm_90",
                     cells = "512";
  LengthFlags lengths;
  std::vector<std::string> params, tensors, axes;
  bool live = false;
  EngineFlags engine;
  std::string q, k, dtype, scale;
};

std::int64_t cells_of(const std::string& flag) {
  auto cells = parse_integer(flag);
  if (cells && *cells >= 1 && *cells <= 4096) return *cells;
  throw Error(ErrorKind::argument,
              fmt::format("--cells '{}' is not a number from 1 to 4096", flag));
}

/// Every pair is evaluated: beyond this a picture takes minutes and shows no more.
void check_pairs(std::int64_t queries, std::int64_t keys) {
  constexpr std::int64_t most = std::int64_t{1} << 28;
  if (keys == 0 || queries <= most / keys) return;
  throw Error(ErrorKind::argument,
              fmt::format("--shape: {} x {} pairs are too many to draw; at most {} are", queries,
                          keys, most));
}

/// A call of random values, but for what the flags bring; `extents` are then those of the call.
Inputs inputs_for(const ir::Pattern& pattern, const ShowFlags& flags, Extents& extents) {
  Inputs inputs;
  read_lengths(flags.lengths, inputs);
  const std::optional<Shape> shape = shape_of(extents, inputs);
  extents.shape = shape ? *shape : parse_shape(flags.shape).shape;  // which says what is missing
  const Lengths lengths = inputs.lengths();
  if (lengths != Lengths::packed) check_pairs(extents.shape.queries, extents.shape.keys);
  inputs.params = bind_params(pattern, flags.params);
  inputs.tensors = read_tensors(pattern, flags.tensors);
  auto seed = parse_integer(flags.seed);
  if (!seed)
    throw Error(ErrorKind::argument, fmt::format("--seed '{}' is not a number", flags.seed));
  fill_random(pattern,
              {extents, DType::bf16, static_cast<std::uint64_t>(*seed), flags.axes, lengths, true},
              inputs);
  return inputs;
}

/// The pairs of a sequence: one that is padded lies in the corner of its rows and keys.
std::vector<std::uint8_t> live_pairs(const Spec& spec, const Args& args, const ir::Site& site) {
  std::vector<std::uint8_t> all = ir::live(spec, args, site.b, site.h);
  const std::int64_t width = spec.lengths == Lengths::packed ? site.k_len : args.k.shape[2];
  std::vector<std::uint8_t> own;
  for (std::int64_t row = 0; row < site.q_len; ++row)
    own.insert(own.end(), all.begin() + row * width, all.begin() + row * width + site.k_len);
  return own;
}

/// What the plan's kernel would visit; where no kernel offers the pattern yet, what the best one
/// could.
void add_tiles(const Spec& spec, const plan::HeadCall& head, const plan::Arch& arch,
               Picture& picture) {
  try {
    plan::Plan plan = plan::plan(spec, {.arch = arch});
    const plan::Pass* const reader = plan::list_reader(plan);
    const plan::Pass& pass = reader ? *reader : plan.passes.front();
    picture.tiles = plan::tile_map(plan, pass, head.site, head.offset, *head.bindings);
    picture.tiled_by = fmt::format("{}{} on {}", plan::name_of(pass.kind),
                                   pass.listed ? " over lists" : "", arch.name());
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::unsupported) throw;
    picture.tiles = classify(picture, plan::Schedule{});
    picture.tiled_by = "no kernel yet";
    picture.no_plan = error.what();
  }
}

/// All but the tiles.
Picture make_picture(const Pattern& pattern, const Spec& spec, const Args& args,
                     const plan::HeadCall& head, const Shape& shape) {
  const std::int64_t h = head.site.h, b = head.site.b;
  check_pairs(head.site.q_len, head.site.k_len);
  Picture picture;
  picture.title = pattern.name();
  picture.rows = head.site.q_len;
  picture.columns = head.site.k_len;
  picture.subtitle = fmt::format("head {} of {}, {} queries x {} keys", h, shape.heads,
                                 picture.rows, picture.columns);
  if (shape.batch > 1) picture.subtitle = fmt::format("sequence {}, {}", b, picture.subtitle);
  for (const ir::Mask& mask : pattern.tree().masks) picture.masks.push_back(mask.text);
  picture.first_position = head.offset;
  picture.live = live_pairs(spec, args, head.site);
  return picture;
}

Picture mask_picture(const Pattern& pattern, const ShowFlags& flags) {
  Extents extents = parse_extents(flags.shape);
  plan::Arch arch = plan::parse_arch(flags.arch);
  plan::row(arch);  // an architecture without kernels is an error, a pattern without one is drawn
  Inputs inputs = inputs_for(pattern.tree(), flags, extents);
  const Shape& shape = extents.shape;
  std::int64_t h = index_below("--head", flags.head, shape.heads);
  std::int64_t b = index_below("--batch", flags.batch, shape.batch);
  Spec spec = inputs.spec(pattern, DType::bf16, false);
  HostCall host(inputs, nullptr);
  const Head whole(spec, host.args(), h);
  const plan::HeadCall head = whole.sequence(b);
  Picture picture = make_picture(pattern, spec, host.args(), head, shape);
  add_tiles(spec, head, arch, picture);
  return picture;
}

/// Of real tensors, which say the shape.
LivePictures live_of(const Pattern& pattern, const ShowFlags& flags) {
  if (!flags.shape.empty())
    throw Error(ErrorKind::argument, "--live and --shape: the shape is that of --q and --k");
  const Inputs inputs = read_inputs(pattern.tree(), {.q = flags.q,
                                                     .k = flags.k,
                                                     .v = {},
                                                     .dtype = flags.dtype,
                                                     .scale = flags.scale,
                                                     .lengths = flags.lengths,
                                                     .tensors = flags.tensors,
                                                     .params = flags.params});
  Spec spec = inputs.spec(pattern, DType::f32, false);
  spec.sparsity = true;
  HostCall host(inputs, nullptr);
  const Shape shape = ir::bind(spec, host.args(), ir::Needs::shapes).shape;
  const std::int64_t h = index_below("--head", flags.head, shape.heads),
                     b = index_below("--batch", flags.batch, shape.batch);
  const Head whole(spec, host.args(), h);
  Picture mask = make_picture(pattern, spec, host.args(), whole.sequence(b), shape);
  return live_pictures(flags.engine.options(), spec, inputs, std::move(mask), b, h);
}

void require_operands(const ShowFlags& flags) {
  if (flags.live && (flags.q.empty() || flags.k.empty()))
    throw Error(ErrorKind::argument, "--live needs the tensors of a call: --q F.npy and --k F.npy");
  if (!flags.live && !(flags.q.empty() && flags.k.empty()))
    throw Error(ErrorKind::argument,
                "--q and --k are for --live, which draws what their scores leave");
}

Json to_json(const Picture& picture) {
  Counts counts = count(picture);
  Json rows = Json::array();
  for (std::int64_t i = 0; i < picture.tiles.rows; ++i) {
    std::string row;
    for (std::int64_t j = 0; j < picture.tiles.columns; ++j) {
      row += ".PF"[static_cast<int>(picture.tiles.at(i, j))];
    }
    rows.push_back(row);
  }
  return {{"attention", picture.title},
          {"queries", picture.rows},
          {"keys", picture.columns},
          {"first_position", picture.first_position},
          {"pairs", counts.pairs},
          {"live", counts.live},
          {"tile_q", picture.tiles.tile_q},
          {"tile_k", picture.tiles.tile_k},
          {"full", counts.full},
          {"partial", counts.partial},
          {"skipped", counts.skipped},
          {"tiles", rows}};
}

Report draw_live(const Pattern& pattern, const ShowFlags& flags, const Terminal& terminal) {
  const LivePictures pictures = live_of(pattern, flags);
  Report report{fmt::format("{}\n{}  {}\n", draw_text(pictures.mask, terminal),
                            draw_text(pictures.live, terminal), caption(pictures)),
                to_json(pictures.mask)};
  report.json["alive"] = to_json(pictures.live);
  report.json["device"] = pictures.device;
  if (!flags.svg.empty())
    write_file(flags.svg, draw_svg(pictures.mask, pictures.live, cells_of(flags.cells)));
  return report;
}

Report run_show(const ShowFlags& flags, const Terminal& terminal) {
  constexpr std::string_view when[] = {"auto", "always", "never"};
  auto color = choose("--color", flags.color, {std::begin(when), std::end(when)});
  Pattern pattern = flags.pattern.load();
  require_operands(flags);
  Progress progress(terminal);
  progress.say("evaluating the mask");
  Terminal chosen = terminal;
  if (color != 0) chosen.colour = color == 1;
  Report report;
  if (flags.live) {
    report = draw_live(pattern, flags, chosen);
  } else {
    const Picture picture = mask_picture(pattern, flags);
    report = {draw_text(picture, chosen), to_json(picture)};
    if (!flags.svg.empty()) write_file(flags.svg, draw_svg(picture, cells_of(flags.cells)));
  }
  progress.clear();
  if (!flags.svg.empty()) {
    report.text += fmt::format("  drawn in {}\n", flags.svg);
    report.json["svg"] = flags.svg;
  }
  return report;
}

}  // namespace

void add_show(CLI::App& app, Invocation& invocation) {
  auto flags = std::make_shared<ShowFlags>();
  CLI::App* command =
      add_command(app, invocation,
                  {"show", "draw the mask, and the tiles that a kernel visits",
                   "  lacuna show causal.lac --shape N=256\n"
                   "  lacuna show local.lac --shape H=8,Nq=512,Nk=2048 --head 3 "
                   "--param reach=256 --svg local.svg\n"
                   "  lacuna show sparse.lac --live --q q.npy --k k.npy --svg live.svg",
                   "  FULL tiles run without mask code, PARTIAL ones test their "
                   "pairs, skipped ones cost nothing:\n"
                   "  'lacuna explain' says which conjunct does what."},
                  flags, run_show);
  flags->pattern.add_to(*command);
  add_value(*command, "--shape", flags->shape, "K=N,...",
            "B= H= G= Nq= Nk= (or N= for both); of packed sequences, lengths say the rest");
  add_value(*command, "--head", flags->head, "H", "which head (default: 0)");
  add_value(*command, "--batch", flags->batch, "B", "which sequence (default: 0)");
  add_repeated(*command, "--param", flags->params, "NAME=X", "a param of the pattern");
  add_repeated(*command, "--tensor", flags->tensors, "NAME=F.npy",
               "a tensor of the pattern (default: ids in runs, other values at random)");
  add_repeated(*command, "--axis", flags->axes, "NAME=E,...",
               "extents of a tensor's _ axes (default: the longer of Nq, Nk)");
  add_lengths(*command, flags->lengths);
  add_value(*command, "--seed", flags->seed, "N", "of random tensors (default: 1)");
  add_value(*command, "--arch", flags->arch, "sm_NN", "whose tile sizes (default: sm_90)");
  command->add_flag(
      "--live", flags->live,
      "of entmax: run a call, and draw the tiles that its scores leave beside those of "
      "the mask");
  add_value(*command, "--q", flags->q, "F.npy", "queries of --live [B,H,Nq,D]");
  add_value(*command, "--k", flags->k, "F.npy", "its keys [B,G,Nk,D]");
  add_value(*command, "--dtype", flags->dtype, "f16|bf16|f32",
            "storage of Q and K (default: as in the files)");
  add_value(*command, "--scale", flags->scale, "X", "of its dot products (default: 1/sqrt(D))");
  flags->engine.add_to(*command);
  add_value(*command, "--svg", flags->svg, "FILE", "also draw it there");
  add_value(*command, "--cells", flags->cells, "N",
            "of the longer side of that picture; fewer make a smaller file (default: 512)");
  add_value(*command, "--color", flags->color, "auto|always|never",
            "of the terminal picture (default: auto)");
}

}  // namespace lacuna::tool
