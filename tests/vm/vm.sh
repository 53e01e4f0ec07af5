#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Runs a command on another kernel, in a VM that sees this machine's files and changes none of them:
#
#     vm.sh KERNEL_DIR COMMAND...     KERNEL_DIR as kernels.sh prints it
#
# The root of the VM is ours, read-only through 9p, with a tmpfs laid over it; the command runs there as
# root, in the working directory of the caller, with VM_RUN_NAME of the environment as NAME.
# What it prints comes out here; its exit code is ours, 125 where the VM did not come so far.
# Without KVM (VM_ACCEL=kvm, where the machine can) all is emulated, tens of times slower.
set -eu -o pipefail

kernel=$1
shift
cache=${MEMTRACE_CACHE:-${HOME:-/root}/.cache/memtrace}
busybox=$cache/busybox/bin/busybox
work=$(mktemp -d "${TMPDIR:-/tmp}/memtrace-vm.XXXXXX")
trap 'rm -rf "$work"' EXIT

# Names as the kernel's packages have them; those built into the image are not there and not missed.
wanted="virtio virtio_ring virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci fscache netfs 9pnet 9pnet_virtio 9p overlay"

# In the order in which they are to be loaded: what a module depends on comes before it.
add_module() {
	local file dependency

	file=$(find "$kernel/modules/" -name "$1.ko*" | head -n 1)
	[ -n "$file" ] && ! grep -qx "$1.ko" "$work/tree/modules/order" || return 0
	for dependency in $(modinfo -F depends "$file" | tr ',' ' '); do add_module "$dependency"; done
	case $file in
	*.xz) xz -dc "$file" >"$work/tree/modules/$1.ko" ;;
	*.zst) zstd -qdc "$file" >"$work/tree/modules/$1.ko" ;;
	*) cp "$file" "$work/tree/modules/$1.ko" ;;
	esac
	echo "$1.ko" >>"$work/tree/modules/order"
}

write_init() {
	cat >"$work/tree/init" <<'INIT'
#!/bin/busybox sh
PATH=/bin:/usr/bin:/sbin:/usr/sbin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev
while read -r module; do insmod "/modules/$module"; done </modules/order
mount -t 9p -o trans=virtio,version=9p2000.L,ro,msize=262144,cache=loose host /host &&
	mount -t tmpfs -o mode=755 tmpfs /over && mkdir /over/up /over/work &&
	mount -t overlay -o lowerdir=/host,upperdir=/over/up,workdir=/over/work root /new || poweroff -f
cd /new
mount -t proc proc proc
mount -t sysfs sys sys
mount --move /dev dev
ln -s /proc/self/fd dev/fd
mkdir -p dev/shm dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t tracefs tracefs sys/kernel/tracing
mount -t bpf bpf sys/fs/bpf
mount -t cgroup2 cgroup2 sys/fs/cgroup
ip link set lo up
cp /command tmp/.command
chroot /new /bin/bash /tmp/.command <dev/null
echo "VM EXIT $?"
poweroff -f
INIT
	chmod +x "$work/tree/init"
}

write_command() {
	echo "export HOME='$HOME' PATH='$PATH' TMPDIR=/tmp"
	env | sed -n "s/^VM_RUN_\([A-Z_]*\)=\(.*\)/export \1='\2'/p"
	printf 'cd %q\n' "$PWD"
	printf '%q ' "$@"
	echo
}

mkdir -p "$work"/tree/{bin,proc,dev,modules,host,over,new,sys}
cp "$busybox" "$work/tree/bin/busybox"
: >"$work/tree/modules/order"
for module in $wanted; do add_module "$module"; done
write_init
write_command "$@" >"$work/tree/command"
(cd "$work/tree" && find . | "$busybox" cpio -o -H newc 2>/dev/null | gzip -1 >"$work/initrd")

# One processor: emulating two in threads has made guests panic while the kernel patched its own text.
timeout "${VM_SECONDS:-900}" qemu-system-x86_64 -accel "${VM_ACCEL:-tcg}" -cpu max -smp 1 -m "${VM_MIB:-2048}" \
	-display none -monitor none -serial stdio -no-reboot -nic none -kernel "$kernel/vmlinuz" -initrd "$work/initrd" \
	-virtfs local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap \
	-append "console=ttyS0 panic=-1 quiet loglevel=3 mitigations=off" </dev/null 2>&1 |
	tr -d '\r' | tee "$work/log" | grep --line-buffered -av "^VM EXIT " || true
code=$(sed -n 's/^VM EXIT \([0-9]*\)$/\1/p' "$work/log" | tail -n 1)
exit "${code:-125}"
