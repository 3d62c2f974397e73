# Inside a layer on tools.sh: two modules for the emulated machine, which has no
# NVIDIA hardware. /gpu/e2e-gpu.ko brings a PCI bus with GPUs of NVIDIA's on it,
# real devices to the kernel, to udev and in sysfs; /gpu/nouveau.ko takes them,
# unless it is kept from it, as the real one does (which this kernel lacks).
mkdir -p /gpu; cd /gpu
cat > e2e-gpu.c <<'C'
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/slab.h>

static int gpus = 1;
module_param(gpus, int, 0444);
static int nvswitches;
module_param(nvswitches, int, 0444);
static int device = 0x2331; /* H100 PCIe */
module_param(device, int, 0444);

static int word(unsigned int devfn, int where)
{
	int n = PCI_SLOT(devfn), is_gpu = n < gpus;

	if (PCI_FUNC(devfn) || n >= gpus + nvswitches)
		return -1;
	switch (where) {
	case PCI_VENDOR_ID: return 0x10de | (is_gpu ? device : 0x22a3) << 16;
	case PCI_CLASS_REVISION: return (is_gpu ? 0x030200 : 0x068000) << 8 | 0xa1;
	case PCI_SUBSYSTEM_VENDOR_ID: return 0x10de | 0x1626 << 16;
	}
	return 0;
}

static int config_read(struct pci_bus *bus, unsigned int devfn, int where, int size, u32 *val)
{
	u32 w = word(devfn, where & ~3) >> (where & 3) * 8;

	*val = size == 4 ? w : w & ((1 << size * 8) - 1);
	return PCIBIOS_SUCCESSFUL;
}

static int config_write(struct pci_bus *bus, unsigned int devfn, int where, int size, u32 val)
{
	return PCIBIOS_SUCCESSFUL;
}

static struct pci_ops ops = { .read = config_read, .write = config_write };

static int __init start(void)
{
	struct pci_sysdata *sd = kzalloc(sizeof(*sd), GFP_KERNEL);
	struct pci_bus *bus;
	LIST_HEAD(resources);

	if (!sd)
		return -ENOMEM;
	sd->domain = 1;
	sd->node = NUMA_NO_NODE;
	bus = pci_scan_root_bus(NULL, 0x17, &ops, sd, &resources);
	if (!bus)
		return -ENODEV;
	pci_bus_add_devices(bus);
	return 0;
}
module_init(start);
MODULE_LICENSE("GPL");
C
cat > nouveau.c <<'C'
#include <linux/module.h>
#include <linux/pci.h>

static int modeset = -1;
module_param(modeset, int, 0400);

static int probe(struct pci_dev *dev, const struct pci_device_id *id)
{
	__module_get(THIS_MODULE); /* the console holds it */
	return 0;
}
static void remove(struct pci_dev *dev) {}
static const struct pci_device_id ids[] = {
	{ PCI_DEVICE(0x10de, PCI_ANY_ID), .class = 0x03 << 16, .class_mask = 0xff << 16 },
	{}
};
MODULE_DEVICE_TABLE(pci, ids);
static struct pci_driver gpu = { .name = "nouveau", .id_table = ids, .probe = probe, .remove = remove };

/* Without modeset it stays, and does nothing: as the real one. */
static int __init start(void) { return modeset ? pci_register_driver(&gpu) : 0; }
static void __exit stop(void) { if (modeset) pci_unregister_driver(&gpu); }
module_init(start);
module_exit(stop);
MODULE_LICENSE("GPL");
C
printf 'obj-m := e2e-gpu.o nouveau.o\n' > Makefile
make -s -C "/lib/modules/$(ls /lib/modules)/build" M=/gpu modules
find /gpu -type f ! -name '*.ko' -delete
