// Package e2e boots real Debian hosts for end-to-end tests: nothing in them is
// a stand-in unless this page says so.
//
// A [Lab] is a network namespace with a bridge (10.77.0.0/24), a signed apt
// repository and the machines of one test:
//
//   - [Lab.Host] boots Debian bookworm under systemd-nspawn: systemd is PID 1,
//     sshd is OpenSSH, `systemctl reboot` boots again with a new boot_id. It
//     shares the machine's kernel, so it can load no module and mount no NFS.
//     A second or two each.
//   - [Lab.VM] boots the same Debian with its own kernel in an emulated CPU
//     (QEMU, no KVM needed): it mounts NFS, and as [NFSServer] exports it.
//     Half a minute each, so these tests run only with RUNAI_PREP_E2E_VM=1.
//
// The program under test runs on the controller's side of the bridge, see
// [Lab.Command]; [Machine.SSH] takes an independent look with OpenSSH.
//
// On every machine root and ops (sudo without password) log in with
// [Lab.IdentityFile]; pat does too, or with [Password], and sudo asks pat for it.
// There is no Python, no name server and no way out to the internet; the only
// apt source is the Lab's repository, which holds nfs-common, nfs-kernel-server
// and squid with what they need (see repoPackages).
//
// Machines with GPUs are in gpu.go: a VM has an H100 on a PCI bus of its own
// (recipes/gpu-modules.sh), and look-alikes of NVIDIA's packages whose module is
// really built and loaded (recipes/nvidia.sh) come from archives laid out as Debian's,
// [Lab.DebianArchive]. A container has the packages of a kernel, and stand-ins for
// the kernel itself (recipes/loaded.sh). [Lab.RealArchive] has NVIDIA's own packages.
//
// The other stand-ins are the container runtimes of [Runtimes] (real units that
// sleep) and the sizes of [Memory] and [Disk].
//
// Root file systems and images are built once and kept in
// $XDG_CACHE_HOME/runai-prep-e2e (default ~/.cache), keyed by a hash of their
// recipe in recipes/; delete the folder to build them anew. Packages come from
// the Debian mirror that apt on this machine is configured with, or from
// RUNAI_PREP_E2E_MIRROR.
//
// Everything a Lab starts lives in control groups and namespaces named after
// the process (rp<pid>), and is removed when the test ends. When the test dies
// first, a waiting shell does it; when that dies too, the next Lab does.
//
// Where it cannot run (not root, no overlayfs, a missing program) tests are
// skipped with the reason; RUNAI_PREP_E2E=require turns the skip into a failure.
package e2e
