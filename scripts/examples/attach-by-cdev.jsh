// Attaches the first device that can be by its cdev and iommufd, the way of Linux 6.6 and later.
var found = Candidate.list(kernel()).stream().filter(Candidate::isAttachable).findFirst().orElseThrow()
var pci = PciDevice.find(kernel(), found.address())
var vm = kvm().createVm()
var ram = memory(4 << 20)
var iommufd = Iommufd.open(kernel())
var cdev = VfioCdev.open(pci)
var registered = KvmVfioDevice.create(vm).add(cdev)     // KVM_DEV_VFIO_FILE_ADD
var device = registered.bind(iommufd)                   // VFIO_DEVICE_BIND_IOMMUFD
var ioas = iommufd.allocateIoas()
device.attach(ioas)
ioas.map(0, ram)
System.out.println(device)
System.out.println(device.configSpace())
device.close()
iommufd.close()
