// Attaches the first device that can be by its group and a container, which every kernel with VFIO has.
var found = Candidate.list(kernel()).stream().filter(Candidate::isAttachable).findFirst().orElseThrow()
var pci = PciDevice.find(kernel(), found.address())
var vm = kvm().createVm()
var ram = memory(4 << 20)
var group = VfioGroup.open(pci.iommuGroup().orElseThrow())
var container = VfioContainer.open(group)               // VFIO_GROUP_SET_CONTAINER, VFIO_SET_IOMMU
container.map(0, ram)
var registered = KvmVfioDevice.create(vm).add(group)    // KVM_DEV_VFIO_GROUP_ADD
var device = registered.openDevice(container, pci.address())
System.out.println(device + " of " + group)
device.close()
container.close()
group.close()
