#!/usr/bin/env bash
# The main job from end to end, on the best device here: an attention of twelve lines, on tensors from files, checked
# against the reference. Leaves everything in build/demo/.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/install.sh
scripts/build.sh lacuna

out=build/demo
pattern=examples/patterns/local_docs.lac
shape=B=1,H=4,G=2,N=1024,D=64
tensors=(--tensor doc=$out/doc.npy --tensor slope=$out/slope.npy --param reach=256)
step() { printf '\n== %s\n' "$*"; }
show_and_run() { printf '$ %s\n' "$*"; "$@"; }

step "the pattern, $pattern"
cat $pattern
step "its tensors"
python=python3  # Debian's numpy is seen by Debian's python only, which need not be the first in PATH
$python -c 'import numpy' 2>/dev/null || python=/usr/bin/python3
$python scripts/demo_tensors.py $out
step "the plan"
show_and_run build/lacuna explain $pattern --shape $shape --dtype f16
step "the mask"
show_and_run build/lacuna show $pattern --shape B=1,H=4,G=2,N=1024 "${tensors[@]}" --svg $out/mask.svg
step "the run, checked"
show_and_run build/lacuna run $pattern --q $out/q.npy --k $out/k.npy --v $out/v.npy "${tensors[@]}" \
  --out $out/result --check --dump $out/stages
step "what it leaves"
printf '  %-28s %s\n' \
  $out/result/o.npy "the result" \
  $out/stages/source.cu "the generated CUDA source" \
  $out/stages/ "every other stage; build/lacuna replay $out/stages runs it again" \
  $out/mask.svg "the picture"
