#!/usr/bin/env bash
# Measures everything that wants a GPU, in one run of less than ten minutes: one JSON object a line in OUT/gpu.jsonl.
#
#     benches/gpu.sh PROGRAM OUT [PYTHON]
#
# PROGRAM is nilas-train; it finds libtorch's CUDA build through LD_LIBRARY_PATH. PYTHON has PyTorch, for the peers; without it there
# are none. docs/performance.md says what the figures mean.
set -euo pipefail

program=$1
out=$2
python=${3:-}
here=$(cd "$(dirname "$0")" && pwd)
results=$out/gpu.jsonl
mkdir -p "$out"
: > "$results"
export NILAS_LOG=error

# One measurement: a name, then the command. What fails or takes too long is noted and the rest goes on.
measure() {
    local name=$1
    shift
    local answer left=$((570 - SECONDS))
    if [[ $left -le 0 ]]; then
        printf '{"name": "%s", "failed": "no time was left"}\n' "$name" >> "$results"
    elif answer=$(timeout "$((left < 120 ? left : 120))" "$@" 2> "$out/error.txt"); then
        printf '{"name": "%s", "result": %s}\n' "$name" "$answer" >> "$results"
    else
        printf '{"name": "%s", "failed": "%s"}\n' "$name" "$(tail -n 1 "$out/error.txt" | tr -d '"\\')" >> "$results"
    fi
    tail -n 1 "$results"
}

nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader > "$out/gpu.txt" || true

model=("$program" bench model reference --device cuda --calls 5 --warm 2)

# Without NVIDIA_TF32_OVERRIDE=0 cuDNN computes convolutions of 32-bit floats in TF32.
for batch in 1 4 16; do
    NVIDIA_TF32_OVERRIDE=0 measure "f32, batch $batch" "${model[@]}" --precision f32 --batch "$batch"
    measure "tf32, batch $batch" "${model[@]}" --precision f32 --batch "$batch"
done
for batch in 1 2 4 8 16; do
    measure "bf16, batch $batch" "${model[@]}" --precision bf16 --batch "$batch"
done
measure "bf16, batch by free memory" "${model[@]}" --precision bf16 --batch 0

# What a member needs beside the network: each part by itself, and as it would be without the choice that was made for it.
for batch in 1 8; do
    measure "parts of a member's way, batch $batch" \
        "$program" bench model reference --device cuda --precision bf16 --calls 5 --warm 2 --batch "$batch" --parts
done

ensemble=("$program" bench model reference --device cuda --precision bf16 --calls 1 --members 30 --processes)

for batch in 1 0; do
    measure "30 members, 40 calls of ddim, batch $batch" "${ensemble[@]}" 1 --batch "$batch" --sampler ddim --steps 40
    measure "30 members, 10 calls, batch $batch" "${ensemble[@]}" 1 --batch "$batch" --steps 10
done
# How fast processes draw is seen in when members came: the others begin with the drawing, the first is warm. 0 is one for each GPU.
for processes in 1 2 0; do
    measure "30 members, 10 calls, batch 8, processes $processes" "${ensemble[@]}" "$processes" --batch 8 --steps 10
done

if [[ -n $python ]]; then
    peer=("$python" "$here/peer/network.py" --reference --device cuda --precision bf16 --layout nhwc --calls 5 --warm 2)
    for batch in 1 8; do
        measure "PyTorch eager, bf16 nhwc, batch $batch" "${peer[@]}" --batch "$batch"
        measure "torch.compile, bf16 nhwc, batch $batch" "${peer[@]}" --batch "$batch" --compile
    done
fi
