package dev.kvmvfio.mock.internal.iommufd;

import static dev.kvmvfio.kernel.Errno.EBUSY;
import static dev.kvmvfio.kernel.Errno.EINVAL;
import static dev.kvmvfio.kernel.Errno.EMSGSIZE;
import static dev.kvmvfio.kernel.Errno.ENOENT;
import static dev.kvmvfio.kernel.Errno.ENOTTY;
import static dev.kvmvfio.kernel.Errno.EOPNOTSUPP;
import static dev.kvmvfio.kernel.Errno.EOVERFLOW;
import static dev.kvmvfio.kernel.Errno.EPERM;

import dev.kvmvfio.bindings.iommufd.iommu_destroy;
import dev.kvmvfio.bindings.iommufd.iommu_hw_info;
import dev.kvmvfio.bindings.iommufd.iommu_hwpt_alloc;
import dev.kvmvfio.bindings.iommufd.iommu_hwpt_set_dirty_tracking;
import dev.kvmvfio.bindings.iommufd.iommu_ioas_alloc;
import dev.kvmvfio.bindings.iommufd.iommu_ioas_allow_iovas;
import dev.kvmvfio.bindings.iommufd.iommu_ioas_change_process;
import dev.kvmvfio.bindings.iommufd.iommu_ioas_copy;
import dev.kvmvfio.bindings.iommufd.iommu_ioas_iova_ranges;
import dev.kvmvfio.bindings.iommufd.iommu_ioas_map;
import dev.kvmvfio.bindings.iommufd.iommu_ioas_map_file;
import dev.kvmvfio.bindings.iommufd.iommu_ioas_unmap;
import dev.kvmvfio.bindings.iommufd.iommu_iova_range;
import dev.kvmvfio.bindings.iommufd.iommu_option;
import dev.kvmvfio.bindings.iommufd.iommu_vfio_ioas;
import dev.kvmvfio.bindings.iommufd.iommufd_h;
import dev.kvmvfio.mock.internal.pci.Iommu;
import dev.kvmvfio.mock.internal.system.Argument;
import dev.kvmvfio.mock.internal.system.IoctlTable;
import dev.kvmvfio.mock.internal.system.Pages;
import dev.kvmvfio.mock.internal.system.PhysicalMemory;
import dev.kvmvfio.mock.internal.system.Refusal;
import dev.kvmvfio.mock.model.KernelProfile;
import dev.kvmvfio.mock.model.LinuxCapability;
import dev.kvmvfio.mock.model.NotModelledException;
import java.lang.foreign.GroupLayout;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/**
 * The calls of {@code /dev/iommu}. Each struct begins with its size, and may be shorter or longer than the kernel's.
 */
final class IommufdCommands {
    private static final long LAST = -1L;
    private static final int MAP_FLAGS = iommufd_h.IOMMU_IOAS_MAP_FIXED_IOVA() | iommufd_h.IOMMU_IOAS_MAP_READABLE()
            | iommufd_h.IOMMU_IOAS_MAP_WRITEABLE();

    static final IoctlTable<IommufdFile> IOCTLS = VfioCompat.addTo(new IoctlTable<>(IommufdFile.class, ENOTTY)
            .on("IOMMU_DESTROY", iommufd_h.IOMMU_DESTROY(), iommu_destroy.layout(),
                    command(iommu_destroy.layout(), iommu_destroy.sizeof(), IommufdCommands::destroy))
            .on("IOMMU_IOAS_ALLOC", iommufd_h.IOMMU_IOAS_ALLOC(), iommu_ioas_alloc.layout(),
                    command(iommu_ioas_alloc.layout(), iommu_ioas_alloc.sizeof(), IommufdCommands::allocate))
            .on("IOMMU_IOAS_ALLOW_IOVAS", iommufd_h.IOMMU_IOAS_ALLOW_IOVAS(), iommu_ioas_allow_iovas.layout(),
                    command(iommu_ioas_allow_iovas.layout(), iommu_ioas_allow_iovas.sizeof(),
                            IommufdCommands::allow))
            .on("IOMMU_IOAS_COPY", iommufd_h.IOMMU_IOAS_COPY(), iommu_ioas_copy.layout(),
                    command(iommu_ioas_copy.layout(), iommu_ioas_copy.sizeof(), IommufdCommands::copy))
            .on("IOMMU_IOAS_IOVA_RANGES", iommufd_h.IOMMU_IOAS_IOVA_RANGES(), iommu_ioas_iova_ranges.layout(),
                    command(iommu_ioas_iova_ranges.layout(), iommu_ioas_iova_ranges.sizeof(),
                            IommufdCommands::ranges))
            .on("IOMMU_IOAS_MAP", iommufd_h.IOMMU_IOAS_MAP(), iommu_ioas_map.layout(),
                    command(iommu_ioas_map.layout(), iommu_ioas_map.sizeof(), IommufdCommands::map))
            .on("IOMMU_IOAS_UNMAP", iommufd_h.IOMMU_IOAS_UNMAP(), iommu_ioas_unmap.layout(),
                    command(iommu_ioas_unmap.layout(), iommu_ioas_unmap.sizeof(), IommufdCommands::unmap))
            .on("IOMMU_OPTION", iommufd_h.IOMMU_OPTION(), iommu_option.layout(),
                    command(iommu_option.layout(), iommu_option.sizeof(), IommufdCommands::option))
            .on("IOMMU_VFIO_IOAS", iommufd_h.IOMMU_VFIO_IOAS(), iommu_vfio_ioas.layout(),
                    command(iommu_vfio_ioas.layout(), iommu_vfio_ioas.sizeof(), IommufdCommands::vfioIoas))
            .on("IOMMU_HWPT_ALLOC", iommufd_h.IOMMU_HWPT_ALLOC(), iommu_hwpt_alloc.layout(),
                    command(iommu_hwpt_alloc.layout(), iommu_hwpt_alloc.data_type$offset(),
                            IommufdCommands::allocateTable))
            .on("IOMMU_GET_HW_INFO", iommufd_h.IOMMU_GET_HW_INFO(), iommu_hw_info.layout(),
                    command(iommu_hw_info.layout(), iommu_hw_info.out_capabilities$offset(),
                            IommufdCommands::hardwareInfo))
            .on("IOMMU_HWPT_SET_DIRTY_TRACKING", iommufd_h.IOMMU_HWPT_SET_DIRTY_TRACKING(),
                    iommu_hwpt_set_dirty_tracking.layout(), command(iommu_hwpt_set_dirty_tracking.layout(),
                            iommu_hwpt_set_dirty_tracking.sizeof(), IommufdCommands::setDirtyTracking))
            .on("IOMMU_IOAS_MAP_FILE", iommufd_h.IOMMU_IOAS_MAP_FILE(), iommu_ioas_map_file.layout(),
                    since(KernelProfile.V7_2, command(iommu_ioas_map_file.layout(), iommu_ioas_map_file.sizeof(),
                            IommufdCommands::mapFile)))
            .on("IOMMU_IOAS_CHANGE_PROCESS", iommufd_h.IOMMU_IOAS_CHANGE_PROCESS(),
                    iommu_ioas_change_process.layout(),
                    since(KernelProfile.V7_2, command(iommu_ioas_change_process.layout(),
                            iommu_ioas_change_process.sizeof(), IommufdCommands::changeProcess)))
            .notModelled("IOMMU_HWPT_GET_DIRTY_BITMAP", iommufd_h.IOMMU_HWPT_GET_DIRTY_BITMAP())
            .notModelled("IOMMU_HWPT_INVALIDATE", iommufd_h.IOMMU_HWPT_INVALIDATE())
            .notModelled("IOMMU_FAULT_QUEUE_ALLOC", iommufd_h.IOMMU_FAULT_QUEUE_ALLOC())
            .on("IOMMU_VIOMMU_ALLOC", iommufd_h.IOMMU_VIOMMU_ALLOC(), absentBefore7("IOMMU_VIOMMU_ALLOC"))
            .on("IOMMU_VDEVICE_ALLOC", iommufd_h.IOMMU_VDEVICE_ALLOC(), absentBefore7("IOMMU_VDEVICE_ALLOC"))
            .on("IOMMU_VEVENTQ_ALLOC", iommufd_h.IOMMU_VEVENTQ_ALLOC(), absentBefore7("IOMMU_VEVENTQ_ALLOC"))
            .on("IOMMU_HW_QUEUE_ALLOC", iommufd_h.IOMMU_HW_QUEUE_ALLOC(), absentBefore7("IOMMU_HW_QUEUE_ALLOC")));

    private IommufdCommands() {
    }

    /** A call, with the struct as this kernel knows it. */
    private record Command(IommufdFile file, Argument argument, MemorySegment struct, long userSize) {
        private void respond() {
            argument.write(0, struct.asSlice(0, Math.min(userSize, struct.byteSize())));
        }

        private IommufdIoas ioas(int id) {
            return file.get(id, IommufdIoas.class);
        }
    }

    private interface Body {
        void run(Command command);
    }

    private static IoctlTable.Handler<IommufdFile> command(GroupLayout layout, long smallest, Body body) {
        return (file, argument) -> {
            long userSize = Integer.toUnsignedLong(argument.readInt(0));
            Refusal.when(userSize < smallest, EINVAL);
            MemorySegment struct = argument.readStruct(userSize, layout.byteSize());
            body.run(new Command(file, argument, struct, userSize));
            return 0;
        };
    }

    private static IoctlTable.Handler<IommufdFile> since(KernelProfile first, IoctlTable.Handler<IommufdFile> handler) {
        return (file, argument) -> {
            Refusal.when(!file.machine().isAtLeast(first), ENOTTY);
            return handler.handle(file, argument);
        };
    }

    private static IoctlTable.Handler<IommufdFile> absentBefore7(String name) {
        return since(KernelProfile.V7_2, (file, argument) -> {
            throw new NotModelledException(name);
        });
    }

    private static void destroy(Command command) {
        command.file.destroy(iommu_destroy.id(command.struct));
    }

    private static void allocate(Command command) {
        Refusal.when(iommu_ioas_alloc.flags(command.struct) != 0, EOPNOTSUPP);
        iommu_ioas_alloc.out_ioas_id(command.struct, command.file.add(new IommufdIoas(command.file)).id());
        command.respond();
    }

    private static void ranges(Command command) {
        MemorySegment struct = command.struct;
        Refusal.when(iommu_ioas_iova_ranges.__reserved(struct) != 0, EOPNOTSUPP);
        IommufdIoas ioas = command.ioas(iommu_ioas_iova_ranges.ioas_id(struct));
        long room = Integer.toUnsignedLong(iommu_ioas_iova_ranges.num_iovas(struct));
        long array = iommu_ioas_iova_ranges.allowed_iovas(struct);
        List<Iommu.Range> usable = ioas.usable();
        for (int i = 0; i < Math.min(room, usable.size()); i++) {
            MemorySegment range = Argument.allocate(iommu_iova_range.sizeof());
            iommu_iova_range.start(range, usable.get(i).start());
            iommu_iova_range.last(range, usable.get(i).last());
            command.argument.memory().write(array + i * range.byteSize(), range);
        }
        iommu_ioas_iova_ranges.num_iovas(struct, usable.size());
        iommu_ioas_iova_ranges.out_iova_alignment(struct, ioas.alignment());
        command.respond();
        Refusal.when(usable.size() > room, EMSGSIZE);
    }

    private static void allow(Command command) {
        MemorySegment struct = command.struct;
        Refusal.when(iommu_ioas_allow_iovas.__reserved(struct) != 0, EOPNOTSUPP);
        IommufdIoas ioas = command.ioas(iommu_ioas_allow_iovas.ioas_id(struct));
        List<Iommu.Range> ranges = new ArrayList<>();
        for (int i = 0; i < iommu_ioas_allow_iovas.num_iovas(struct); i++) {
            MemorySegment range = command.argument.memory().read(
                    iommu_ioas_allow_iovas.allowed_iovas(struct) + i * iommu_iova_range.sizeof(),
                    iommu_iova_range.sizeof());
            long start = iommu_iova_range.start(range);
            long last = iommu_iova_range.last(range);
            Refusal.when(Long.compareUnsigned(start, last) >= 0
                    || ranges.stream().anyMatch(other -> other.overlaps(start, last)), EINVAL);
            ranges.add(new Iommu.Range(start, last));
        }
        ioas.allow(ranges);
    }

    private static void checkMap(int flags, int reserved, long... numbers) {
        Refusal.when((flags & ~MAP_FLAGS) != 0 || reserved != 0, EOPNOTSUPP);
        for (long number : numbers) {
            Refusal.when(number == LAST, EOVERFLOW);
        }
        Refusal.when(!readable(flags) && !writable(flags), EINVAL);
    }

    private static boolean readable(int flags) {
        return (flags & iommufd_h.IOMMU_IOAS_MAP_READABLE()) != 0;
    }

    private static boolean writable(int flags) {
        return (flags & iommufd_h.IOMMU_IOAS_MAP_WRITEABLE()) != 0;
    }

    private static long place(IommufdIoas ioas, int flags, long iova, List<IommufdIoas.Piece> pieces, long length) {
        if ((flags & iommufd_h.IOMMU_IOAS_MAP_FIXED_IOVA()) == 0) {
            return ioas.mapAnywhere(pieces, length, readable(flags), writable(flags));
        }
        ioas.mapAt(iova, pieces, length, readable(flags), writable(flags));
        return iova;
    }

    private static void map(Command command) {
        MemorySegment struct = command.struct;
        int flags = iommu_ioas_map.flags(struct);
        long iova = iommu_ioas_map.iova(struct);
        long length = iommu_ioas_map.length(struct);
        checkMap(flags, iommu_ioas_map.__reserved(struct), iova, length);
        IommufdIoas ioas = command.ioas(iommu_ioas_map.ioas_id(struct));
        IommufdIoas.Piece piece = userPages(command.file, iommu_ioas_map.user_va(struct), length, writable(flags));
        iommu_ioas_map.iova(struct, place(ioas, flags, iova, List.of(piece), length));
        command.respond();
    }

    /** Names user memory to be mapped. */
    static IommufdIoas.Piece userPages(IommufdFile file, long address, long length, boolean forWriting) {
        boolean wraps = Long.compareUnsigned(address + length, address) < 0;
        Refusal.when(wraps && file.machine().isAtLeast(KernelProfile.V7_2), EOVERFLOW);
        Refusal.when(length == 0 || Long.compareUnsigned(length, LAST - PhysicalMemory.PAGE) > 0, EINVAL);
        Refusal.when(wraps, EOVERFLOW);
        return new IommufdIoas.Piece(new Pages(file.machine(), address, length, forWriting, false, file.accounting()),
                0,
                length);
    }

    private static void copy(Command command) {
        MemorySegment struct = command.struct;
        int flags = iommu_ioas_copy.flags(struct);
        long length = iommu_ioas_copy.length(struct);
        long to = iommu_ioas_copy.dst_iova(struct);
        long from = iommu_ioas_copy.src_iova(struct);
        checkMap(flags, 0, length, from, to);
        List<IommufdIoas.Piece> pieces = command.ioas(iommu_ioas_copy.src_ioas_id(struct)).pieces(from, length);
        IommufdIoas target = command.ioas(iommu_ioas_copy.dst_ioas_id(struct));
        iommu_ioas_copy.dst_iova(struct, place(target, flags, to, pieces, length));
        command.respond();
    }

    private static void mapFile(Command command) {
        MemorySegment struct = command.struct;
        checkMap(iommu_ioas_map_file.flags(struct), 0, iommu_ioas_map_file.iova(struct),
                iommu_ioas_map_file.length(struct));
        command.ioas(iommu_ioas_map_file.ioas_id(struct));
        Refusal.when(iommu_ioas_map_file.length(struct) == 0, EINVAL);
        long start = iommu_ioas_map_file.start(struct);
        Refusal.when(Long.compareUnsigned(start + iommu_ioas_map_file.length(struct) - 1, start) < 0, EOVERFLOW);
        command.file.machine().files().get(iommu_ioas_map_file.fd(struct));
        throw new NotModelledException("IOMMU_IOAS_MAP_FILE");
    }

    private static void unmap(Command command) {
        MemorySegment struct = command.struct;
        IommufdIoas ioas = command.ioas(iommu_ioas_unmap.ioas_id(struct));
        long iova = iommu_ioas_unmap.iova(struct);
        long length = iommu_ioas_unmap.length(struct);
        long unmapped;
        if (iova == 0 && length == LAST) {
            unmapped = ioas.unmapAll();
        } else {
            Refusal.when(iova == LAST || length == LAST, EOVERFLOW);
            unmapped = unmapRange(ioas, iova, length);
            Refusal.when(unmapped == 0, ENOENT);
        }
        iommu_ioas_unmap.length(struct, unmapped);
        command.respond();
    }

    static long unmapRange(IommufdIoas ioas, long iova, long length) {
        Refusal.when(length == 0, EINVAL);
        Refusal.when(Long.compareUnsigned(iova + length - 1, iova) < 0, EOVERFLOW);
        return ioas.unmap(iova, iova + length - 1);
    }

    private static void option(Command command) {
        MemorySegment struct = command.struct;
        Refusal.when(iommu_option.__reserved(struct) != 0, EOPNOTSUPP);
        int option = iommu_option.option_id(struct);
        if (option == iommufd_h.IOMMU_OPTION_RLIMIT_MODE()) {
            accountingOption(command);
        } else {
            Refusal.when(option != iommufd_h.IOMMU_OPTION_HUGE_PAGES(), EOPNOTSUPP);
            hugePagesOption(command);
        }
        long value = iommu_option.val64$offset();
        command.argument.write(value, struct.asSlice(value, Long.BYTES));
    }

    private static boolean sets(MemorySegment option) {
        int operation = iommu_option.op(option);
        Refusal.when(operation != iommufd_h.IOMMU_OPTION_OP_GET() && operation != iommufd_h.IOMMU_OPTION_OP_SET(),
                EOPNOTSUPP);
        return operation == iommufd_h.IOMMU_OPTION_OP_SET();
    }

    /** The value of an option that is off or on. */
    private static boolean value(MemorySegment option) {
        long value = iommu_option.val64(option);
        Refusal.when(value != 0 && value != 1, EINVAL);
        return value == 1;
    }

    private static void accountingOption(Command command) {
        IommufdFile file = command.file;
        Refusal.when(iommu_option.object_id(command.struct) != 0, EOPNOTSUPP);
        if (sets(command.struct)) {
            Refusal.when(!file.machine().process().may(LinuxCapability.SYS_RESOURCE), EPERM);
            Refusal.when(file.hasObjects(), EBUSY);
            file.setAccounting(value(command.struct) ? Pages.Accounting.PROCESS : Pages.Accounting.USER);
        } else {
            iommu_option.val64(command.struct, file.accounting() == Pages.Accounting.PROCESS ? 1 : 0);
        }
    }

    private static void hugePagesOption(Command command) {
        IommufdIoas ioas = command.ioas(iommu_option.object_id(command.struct));
        if (sets(command.struct)) {
            ioas.setLargePages(value(command.struct));
        } else {
            iommu_option.val64(command.struct, ioas.usesLargePages() ? 1 : 0);
        }
    }

    private static void vfioIoas(Command command) {
        MemorySegment struct = command.struct;
        Refusal.when(iommu_vfio_ioas.__reserved(struct) != 0, EOPNOTSUPP);
        int operation = iommu_vfio_ioas.op(struct);
        if (operation == iommufd_h.IOMMU_VFIO_IOAS_GET()) {
            iommu_vfio_ioas.ioas_id(struct, command.file.compatIoas().id());
            command.respond();
        } else if (operation == iommufd_h.IOMMU_VFIO_IOAS_SET()) {
            command.file.setCompatIoas(command.ioas(iommu_vfio_ioas.ioas_id(struct)));
        } else {
            Refusal.when(operation != iommufd_h.IOMMU_VFIO_IOAS_CLEAR(), EOPNOTSUPP);
            command.file.setCompatIoas(null);
        }
    }

    /** The modelled IOMMU has neither nested page tables nor dirty tracking, so a page table has no options. */
    private static void allocateTable(Command command) {
        MemorySegment struct = command.struct;
        Refusal.when(iommu_hwpt_alloc.__reserved(struct) != 0, EOPNOTSUPP);
        boolean hasType = iommu_hwpt_alloc.data_type(struct) != iommufd_h.IOMMU_HWPT_DATA_NONE();
        boolean hasData = iommu_hwpt_alloc.data_len(struct) != 0;
        Refusal.when(hasType != hasData, EINVAL);
        command.file.get(iommu_hwpt_alloc.dev_id(struct), IommufdPciDevice.class);
        IommufdObject parent;
        try {
            parent = command.file.get(iommu_hwpt_alloc.pt_id(struct), IommufdObject.class);
        } catch (Refusal missing) {
            throw Refusal.of(EINVAL);
        }
        if (parent instanceof IommufdHwpt) {
            Refusal.when(!hasData || (iommu_hwpt_alloc.flags(struct) & ~iommufd_h.IOMMU_HWPT_FAULT_ID_VALID()) != 0,
                    EOPNOTSUPP);
            throw Refusal.of(EINVAL);
        }
        Refusal.when(!(parent instanceof IommufdIoas), EINVAL);
        Refusal.when(iommu_hwpt_alloc.flags(struct) != 0 || hasData, EOPNOTSUPP);
        IommufdHwpt table = command.file.add(new IommufdHwpt(command.file, (IommufdIoas) parent, false));
        try {
            table.fill();
        } catch (Refusal refused) {
            command.file.remove(table);
            throw refused;
        }
        iommu_hwpt_alloc.out_hwpt_id(struct, table.id());
        command.respond();
    }

    /** The modelled IOMMU is of no make that has something to tell. */
    private static void hardwareInfo(Command command) {
        MemorySegment struct = command.struct;
        int inputType = command.file.machine().isAtLeast(KernelProfile.V7_2)
                ? iommufd_h.IOMMU_HW_INFO_FLAG_INPUT_TYPE()
                : 0;
        MemorySegment reserved = iommu_hw_info.__reserved(struct);
        Refusal.when((iommu_hw_info.flags(struct) & ~inputType) != 0
                || reserved.mismatch(Argument.allocate(reserved.byteSize())) >= 0, EOPNOTSUPP);
        command.file.get(iommu_hw_info.dev_id(struct), IommufdPciDevice.class);
        long bytes = Integer.toUnsignedLong(iommu_hw_info.data_len(struct));
        command.argument.memory().write(iommu_hw_info.data_uptr(struct), Argument.allocate(bytes));
        iommu_hw_info.data_len(struct, 0);
        iommu_hw_info.out_data_type(struct, iommufd_h.IOMMU_HW_INFO_TYPE_NONE());
        iommu_hw_info.out_max_pasid_log2(struct, (byte) 0);
        iommu_hw_info.out_capabilities(struct, 0);
        command.respond();
    }

    private static void setDirtyTracking(Command command) {
        MemorySegment struct = command.struct;
        Refusal.when((iommu_hwpt_set_dirty_tracking.flags(struct) & ~iommufd_h.IOMMU_HWPT_DIRTY_TRACKING_ENABLE()) != 0,
                EOPNOTSUPP);
        command.file.get(iommu_hwpt_set_dirty_tracking.hwpt_id(struct), IommufdHwpt.class);
        throw Refusal.of(EOPNOTSUPP);
    }

    private static void changeProcess(Command command) {
        Refusal.when(iommu_ioas_change_process.__reserved(command.struct) != 0, EOPNOTSUPP);
        boolean anonymous = command.file.ioases().stream().anyMatch(ioas -> !ioas.map().areas().isEmpty());
        Refusal.when(anonymous, EINVAL);
    }
}
