#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The BPF tests and a few workloads on other kernels, each in a VM (vm.sh): 6.1 has no uprobe_multi, the
# others have. VM_KERNELS chooses; a kernel that cannot be had is one named skip.
set -u
cd "$(dirname "$0")/../.." || exit
. tests/live/lib.sh
command -v qemu-system-x86_64 >/dev/null && command -v modinfo >/dev/null ||
	skip_all "needs qemu-system-x86 and kmod: tests/setup.sh vm"
version=$(any_go) || skip_all "no Go toolchain"
names=${GO_WORKLOADS:-map_grow map_delete_range slice_grow chan_ring_drained}
# shellcheck disable=SC2086
tests/build_workloads.sh "$version" $names || { echo "Bail out! workloads do not build"; exit 1; }

# What is emulated takes minutes for seconds: growing takes so long there that it looks like growth without end.
export VM_RUN_SCENARIO_OPTIONS="--set unbounded-growth.seconds=600" VM_RUN_PATIENCE=300 VM_RUN_BUILD=$BUILD

# The one test that compares times of work done side by side: a VM with one processor cannot.
bpf_tests="\$BUILD/test-bpf/events -j1 --quiet --tap=- --filter '!(closer/links_are_closed_side_by_side)'"

in_vm() { # KERNEL COMMAND
	tests/vm/vm.sh "$1" bash -c "$2" | tee "$scratch/log" | sed -n "s/^\(ok\|not ok\)\( [0-9]*\)\{0,1\} - /\1 - $3: /p; /^#/p"
	grep -Eq '^(not )?ok' "$scratch/log" || echo "not ok - $3: the VM ran it ($(tail -n 1 "$scratch/log"))"
}

for kernel in ${VM_KERNELS:-6.1 6.12 7.3}; do
	found=$(tests/vm/kernels.sh "$kernel")
	case $found in
	*' missing: '*) skip "Linux $kernel" "${found#* missing: }"; continue ;;
	esac
	directory=${found#* }
	renumber < <(in_vm "$directory" "$bpf_tests" "Linux $kernel")
	for name in $names; do
		renumber < <(in_vm "$directory" "tests/live/scenario.sh $version $name" "Linux $kernel: $name")
	done
done
done_testing
