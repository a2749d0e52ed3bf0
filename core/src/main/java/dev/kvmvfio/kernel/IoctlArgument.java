package dev.kvmvfio.kernel;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;

import dev.kvmvfio.bindings.iommufd.iommufd_h;
import dev.kvmvfio.bindings.kvm.aarch64.kvm_aarch64_h;
import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_x86_64_h;
import dev.kvmvfio.bindings.vfio.vfio_h;
import dev.kvmvfio.internal.NativeMemory;
import java.lang.foreign.MemorySegment;
import java.util.BitSet;
import org.jspecify.annotations.Nullable;

/**
 * How much memory an ioctl reads or writes behind its argument, and whether it writes. The number says so; what it does
 * not say is here. The tables go by the number's last byte, which is the ioctl's own among those that are in them, so
 * that a look-up allocates nothing.
 */
final class IoctlArgument {
    private static final int KVM = 0xae;
    private static final int VFIO_AND_IOMMUFD = 0x3b;

    private IoctlArgument() {
    }

    /**
     * Refuses memory that the kernel would reach beyond, or write to against the program's will. A segment of length 0 is
     * an address, which the caller answers for.
     *
     * @throws IllegalArgumentException with what is wanted
     */
    static void check(FileDescriptor file, Ioctl ioctl, MemorySegment argument) {
        NativeMemory.require(argument, ioctl.name(), file);
        if (argument.byteSize() == 0) {
            return;
        }
        // What tells the size must be there first.
        requireSize(file, ioctl, argument, fixedSize(ioctl));
        requireSize(file, ioctl, argument, size(file, ioctl, argument));
        if (argument.isReadOnly() && !OnlyReading.includes(ioctl, argument)) {
            NativeMemory.requireWritable(argument, ioctl.name(), file);
        }
    }

    private static void requireSize(FileDescriptor file, Ioctl ioctl, MemorySegment argument, long size) {
        if (argument.byteSize() < size) {
            throw new IllegalArgumentException(ioctl.name() + " on " + file + " takes " + size
                    + " bytes of memory, and this segment has " + argument.byteSize());
        }
    }

    private static int subsystem(Ioctl ioctl) {
        return (int) ioctl.number() >> Byte.SIZE & 0xff;
    }

    private static int ordinal(long number) {
        return (int) number & 0xff;
    }

    private static long fixedSize(Ioctl ioctl) {
        return switch (subsystem(ioctl)) {
            case KVM -> OfKvm.fixedSize(ioctl);
            case VFIO_AND_IOMMUFD -> OfVfio.fixedSize(ioctl);
            default -> ioctl.size();
        };
    }

    private static long size(FileDescriptor file, Ioctl ioctl, MemorySegment argument) {
        return switch (subsystem(ioctl)) {
            case KVM -> OfKvm.size(file, ioctl, argument);
            case VFIO_AND_IOMMUFD -> OfVfio.size(file, ioctl, argument);
            default -> 0;
        };
    }

    private static BitSet ordinals(long... numbers) {
        BitSet ordinals = new BitSet();
        for (long number : numbers) {
            ordinals.set(ordinal(number));
        }
        return ordinals;
    }

    /** The number has the size of a struct; an array may follow it. */
    private static final class OfKvm {
        /** A command of SEV or of TDX, where the number says a {@code long}. */
        private static final int ENCRYPTION_COMMAND_SIZE = 24;
        private static final int REINJECT_CONTROL_SIZE = 32;

        private static final @Nullable Counted[] COUNTED = new Counted[1 << Byte.SIZE];

        /** So many elements follow the start as the member says that is at an offset. */
        private record Counted(int number, int member, int start, int each) {
            long size(MemorySegment argument) {
                return start + Integer.toUnsignedLong(argument.get(JAVA_INT_UNALIGNED, member)) * each;
            }
        }

        static {
            add(kvm_x86_64_h.KVM_GET_SUPPORTED_CPUID(), 0, 8, 40);
            add(kvm_x86_64_h.KVM_GET_EMULATED_CPUID(), 0, 8, 40);
            add(kvm_x86_64_h.KVM_GET_SUPPORTED_HV_CPUID(), 0, 8, 40);
            add(kvm_x86_64_h.KVM_GET_CPUID2(), 0, 8, 40);
            add(kvm_x86_64_h.KVM_SET_CPUID2(), 0, 8, 40);
            add(kvm_x86_64_h.KVM_SET_CPUID(), 0, 8, 24);
            add(kvm_x86_64_h.KVM_GET_MSRS(), 0, 8, 16);
            add(kvm_x86_64_h.KVM_SET_MSRS(), 0, 8, 16);
            add(kvm_x86_64_h.KVM_GET_MSR_INDEX_LIST(), 0, 4, 4);
            add(kvm_x86_64_h.KVM_GET_MSR_FEATURE_INDEX_LIST(), 0, 4, 4);
            add(kvm_x86_64_h.KVM_SET_PMU_EVENT_FILTER(), 4, 32, 8);
            // Here the member is the size of all.
            add(kvm_x86_64_h.KVM_GET_NESTED_STATE(), 4, 0, 1);
            add(kvm_x86_64_h.KVM_SET_NESTED_STATE(), 4, 0, 1);
            add(kvm_h.KVM_SET_GSI_ROUTING(), 0, 8, 48);
            add(kvm_h.KVM_SET_SIGNAL_MASK(), 0, 4, 1);
            // The kernel takes the lower half of the count.
            add(kvm_h.KVM_GET_REG_LIST(), 0, 8, 8);
        }

        private static void add(long number, int member, int start, int each) {
            COUNTED[ordinal(number)] = new Counted((int) number, member, start, each);
        }

        static long fixedSize(Ioctl ioctl) {
            int number = (int) ioctl.number();
            return number == (int) kvm_h.KVM_MEMORY_ENCRYPT_OP()
                    ? ENCRYPTION_COMMAND_SIZE
                    : number == kvm_h.KVM_REINJECT_CONTROL() ? REINJECT_CONTROL_SIZE : ioctl.size();
        }

        static long size(FileDescriptor file, Ioctl ioctl, MemorySegment argument) {
            int number = (int) ioctl.number();
            Counted counted = COUNTED[ordinal(number)];
            if (counted != null && counted.number == number) {
                return counted.size(argument);
            }
            return number == (int) kvm_x86_64_h.KVM_GET_XSAVE2() || number == (int) kvm_x86_64_h.KVM_SET_XSAVE()
                    ? file.checkExtensionOfMaker(kvm_h.KVM_CAP_XSAVE2())
                    : 0;
        }
    }

    /** The number has no size. Most structs begin with their own; of these the kernel takes no more than that. */
    private static final class OfVfio {
        private static final BitSet TAKE_AN_INT = ordinals(vfio_h.VFIO_GROUP_SET_CONTAINER(),
                vfio_h.VFIO_DEVICE_GET_GFX_DMABUF());

        static long fixedSize(Ioctl ioctl) {
            return (int) ioctl.number() == vfio_h.VFIO_GROUP_GET_DEVICE_FD() ? 0 : Integer.BYTES;
        }

        static long size(FileDescriptor file, Ioctl ioctl, MemorySegment argument) {
            if ((int) ioctl.number() == vfio_h.VFIO_GROUP_GET_DEVICE_FD()) {
                requireEnd(file, ioctl, argument);
                return 0;
            }
            return TAKE_AN_INT.get(ordinal(ioctl.number()))
                    ? Integer.BYTES
                    : Integer.toUnsignedLong(argument.get(JAVA_INT_UNALIGNED, 0));
        }

        private static void requireEnd(FileDescriptor file, Ioctl ioctl, MemorySegment text) {
            for (long i = 0; i < text.byteSize(); i++) {
                if (text.get(JAVA_BYTE, i) == 0) {
                    return;
                }
            }
            throw new IllegalArgumentException(
                    ioctl.name() + " on " + file + " takes text that ends in a zero, and this segment has none");
        }
    }

    /** The ioctls that write nothing. They are asked for with a read-only segment alone, which is rare. */
    private static final class OnlyReading {
        /** The numbers say that it writes. */
        private static final BitSet OF_KVM = ordinals(kvm_h.KVM_SET_IRQCHIP(), kvm_x86_64_h.KVM_SET_PIT(),
                kvm_h.KVM_CLEAR_DIRTY_LOG(), kvm_h.KVM_CREATE_GUEST_MEMFD(), kvm_h.KVM_MEMORY_ENCRYPT_REG_REGION(),
                kvm_h.KVM_MEMORY_ENCRYPT_UNREG_REGION(), kvm_aarch64_h.KVM_ARM_MTE_COPY_TAGS(),
                kvm_aarch64_h.KVM_ARM_GET_REG_WRITABLE_MASKS());

        /** A device's ioctl and a container's may have the same number; but for the feature they are alike in this. */
        private static final BitSet OF_VFIO = ordinals(vfio_h.VFIO_GROUP_SET_CONTAINER(),
                vfio_h.VFIO_GROUP_GET_DEVICE_FD(), vfio_h.VFIO_DEVICE_SET_IRQS(), vfio_h.VFIO_DEVICE_PCI_HOT_RESET(),
                vfio_h.VFIO_IOMMU_MAP_DMA(), vfio_h.VFIO_DEVICE_GET_GFX_DMABUF(), vfio_h.VFIO_DEVICE_IOEVENTFD(),
                vfio_h.VFIO_DEVICE_DETACH_IOMMUFD_PT(), iommufd_h.IOMMU_DESTROY(), iommufd_h.IOMMU_IOAS_ALLOW_IOVAS(),
                iommufd_h.IOMMU_HWPT_SET_DIRTY_TRACKING(), iommufd_h.IOMMU_HWPT_GET_DIRTY_BITMAP(),
                iommufd_h.IOMMU_IOAS_CHANGE_PROCESS());

        private static final int FLAGS = Integer.BYTES;

        static boolean includes(Ioctl ioctl, MemorySegment argument) {
            int ordinal = ordinal(ioctl.number());
            return switch (subsystem(ioctl)) {
                case KVM -> !ioctl.kernelWrites() || OF_KVM.get(ordinal);
                case VFIO_AND_IOMMUFD -> ordinal == ordinal(vfio_h.VFIO_DEVICE_FEATURE())
                        ? !isTransfer(argument)
                        : OF_VFIO.get(ordinal);
                default -> !ioctl.kernelWrites();
            };
        }

        /** A container's VFIO_IOMMU_DIRTY_PAGES has the number of the feature and none of these flags. */
        private static boolean isTransfer(MemorySegment feature) {
            int transfer = vfio_h.VFIO_DEVICE_FEATURE_GET() | vfio_h.VFIO_DEVICE_FEATURE_SET();
            return feature.byteSize() >= FLAGS + Integer.BYTES
                    && (feature.get(JAVA_INT_UNALIGNED, FLAGS) & transfer) != 0;
        }
    }
}
