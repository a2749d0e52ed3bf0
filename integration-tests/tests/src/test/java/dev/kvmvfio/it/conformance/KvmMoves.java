package dev.kvmvfio.it.conformance;

import dev.kvmvfio.it.conformance.Draft.Kind;

/** What a program does with KVM, and nearly does. */
final class KvmMoves {
    private static final String[] ADDRESSES = {"0x0", "0x1000", "0x2000", "0x4000", "0x8000", "0x100000", "0xfffff000"};
    private static final String MEMORY = "0x10000";
    private static final String[] SIZES = {"0x1000", "0x2000", "0x4000"};

    private final Draft draft;

    KvmMoves(Draft draft) {
        this.draft = draft;
    }

    void begin() {
        String system = draft.make(Kind.KVM, "open /dev/kvm");
        int machines = draft.chance(4) ? 2 : 1;
        for (int i = 0; i < machines; i++) {
            String vm = draft.make(Kind.VM, "ioctl " + system + " KVM_CREATE_VM 0");
            if (!draft.chance(3)) {
                draft.ioctl(vm, "KVM_CREATE_IRQCHIP");
            }
            if (!draft.chance(3)) {
                draft.make(Kind.KVM_VFIO, "ioctl " + vm + " KVM_CREATE_DEVICE type=4");
            }
        }
        eventFd();
        memory();
    }

    /** Memory whose pages are its own from the beginning, so that a device and the process see the same. */
    void memory() {
        String memory = draft.make(Kind.MEMORY, "mmap " + MEMORY);
        draft.step("fill", memory, "0", MEMORY, "0x11");
    }

    void eventFd() {
        draft.make(Kind.EVENTFD, "eventfd " + draft.of("0", "0", "1", "3"));
    }

    void createVm() {
        draft.make(Kind.VM, "ioctl " + draft.any(Kind.KVM) + " KVM_CREATE_VM " + draft.mostly("0", "9", "0x100"));
    }

    void createVfio() {
        draft.make(Kind.KVM_VFIO, "ioctl " + draft.any(Kind.VM) + " KVM_CREATE_DEVICE type="
                + draft.mostly("4", "1", "5", "7", "999") + " flags=" + draft.mostly("0", "1", "2"));
    }

    void move() {
        switch (draft.below(24)) {
            case 0 -> system();
            case 1 -> createVm();
            case 2 -> createVfio();
            case 3, 4, 5 -> attribute(draft.anyFile());
            case 6, 7, 8, 9 -> memoryRegion();
            case 10 -> dirtyLog();
            case 11, 12, 13 -> irqFd();
            case 14, 15 -> ioEventFd();
            case 16 -> routing();
            case 17 -> chips();
            case 18 -> createVcpu();
            case 19 -> message();
            case 20 -> eventFd();
            case 21 -> eventFdData();
            case 22 -> files(draft.chance(2) ? Kind.BAR : Kind.MEMORY);
            default -> line();
        }
    }

    /** Adds and removes a file. */
    void attribute(String file) {
        String request = draft.mostly("KVM_SET_DEVICE_ATTR", "KVM_GET_DEVICE_ATTR", "KVM_HAS_DEVICE_ATTR");
        String target = draft.any(Kind.KVM_VFIO);
        String group = draft.mostly("1", "0", "2");
        String attribute = draft.mostly(draft.of("1", "1", "2"), "3", "4", "5");
        draft.ioctl(target, request, "group=" + group, "attr=" + (isOfProcessor(target, group, attribute)
                ? "3"
                : attribute), "addr=" + draft.mostly("&" + file, "0x1000", "&nothing"));
    }

    /** Of /dev/kvm itself, and AMD's alone: there is a policy for encrypted guests, and Intel has none. */
    private static boolean isOfProcessor(String target, String group, String attribute) {
        return target.startsWith("kvm") && group.equals("1") && attribute.equals("1");
    }

    private void system() {
        String file = draft.mostly(draft.any(Kind.KVM), draft.any(Kind.VM));
        switch (draft.below(4)) {
            case 0 -> draft.ioctl(file, "KVM_GET_API_VERSION", draft.mostly("0", "1"));
            case 1 -> draft.ioctl(file, "KVM_GET_VCPU_MMAP_SIZE", draft.mostly("0", "1"));
            case 2 -> draft.ioctl(file, draft.of("KVM_UNKNOWN", "VFIO_UNKNOWN"), "0");
            default -> draft.ioctl(draft.any(draft.of("v", "k").equals("v") ? Kind.VM : Kind.KVM),
                    "KVM_CHECK_EXTENSION", draft.of("0", "3", "32", "81", "82", "10", "25", "36", "89", "121"));
        }
    }

    private void memoryRegion() {
        String slot = draft.mostly(draft.of("0", "1", "2", "3"), "0x7ffc", "0x7ffb", "0x20000");
        String flags = draft.mostly(draft.of("0", "0", "1", "2"), "3", "4", "8", "0x10");
        String address = draft.mostly(draft.of(ADDRESSES), "0x800", "0xfffffffffffff000", "0xffffffffffffe000");
        String size = draft.mostly(draft.of(SIZES), "0x0", "0x0", "0x0", "0x800", "0xfffffffffffff000",
                "0x80000000000");
        String memory = draft.any(Kind.MEMORY) + draft.of("+0x0", "+0x0", "+0x1000", "+0x4000");
        String user = draft.mostly(memory, "0x800", "0x8000000000000000", "0x1000", "0x0", "0x7ffffffff000");
        draft.ioctl(draft.any(Kind.VM), "KVM_SET_USER_MEMORY_REGION", "slot=" + slot, "flags=" + flags,
                "guest_phys_addr=" + address, "memory_size=" + (draft.chance(5) ? "0x0" : size),
                "userspace_addr=" + user);
    }

    private void dirtyLog() {
        draft.ioctl(draft.any(Kind.VM), "KVM_GET_DIRTY_LOG",
                "slot=" + draft.mostly(draft.of("0", "1", "2"), "0x20000", "0x7ffc"),
                "dirty_bitmap=" + draft.mostly("@0,0", "0x1000"));
    }

    void irqFd() {
        String flags = draft.mostly(draft.of("0", "0", "1", "2"), "3", "4");
        draft.ioctl(draft.any(Kind.VM), "KVM_IRQFD", "fd=" + draft.any(Kind.EVENTFD),
                "gsi=" + draft.mostly(draft.of("0", "1", "5", "16", "23"), "24", "4096", "0xffffffff"),
                "flags=" + flags, "resamplefd=" + draft.any(Kind.EVENTFD));
    }

    private void ioEventFd() {
        draft.ioctl(draft.any(Kind.VM), "KVM_IOEVENTFD", "fd=" + draft.any(Kind.EVENTFD),
                "addr=" + draft.mostly(draft.of("0x1000", "0x1000", "0x2000", "0x1004"), "0xffffffffffffffff"),
                "len=" + draft.mostly(draft.of("4", "4", "8", "2", "1", "0"), "3", "16"),
                "flags=" + draft.mostly(draft.of("0", "0", "1", "2", "4", "4", "5"), "8", "0x10", "6", "0x20"),
                "datamatch=" + draft.of("0", "0", "7"));
    }

    private void routing() {
        String gsi = draft.mostly(draft.of("0", "5", "20", "24", "100"), "4095", "0x100000", "0xffffffff");
        String entry = gsi + "," + draft.mostly(draft.of("1", "2"), "0", "3", "9") + ","
                + draft.mostly("0", "1", "2") + ",0," + draft.of("0", "1", "2", "2", "3") + ","
                + draft.of("0", "5", "7", "8", "23", "24") + ",0,0,0,0,0,0";
        String second = draft.of("5", "6") + ",1,0,0," + draft.of("0", "2") + ",5,0,0,0,0,0,0";
        draft.ioctl(draft.any(Kind.VM), "KVM_SET_GSI_ROUTING", "nr=" + draft.mostly(draft.of("0", "1", "2"), "4097"),
                "flags=" + draft.mostly("0", "1"), "tail=" + entry + "," + second);
    }

    private void chips() {
        switch (draft.below(5)) {
            case 0, 1 -> draft.ioctl(draft.any(Kind.VM), "KVM_CREATE_IRQCHIP");
            case 2 -> draft.ioctl(draft.any(Kind.VM), "KVM_ENABLE_CAP", "cap=121", "flags=" + draft.mostly("0", "1"),
                    "args.0=" + draft.mostly("24", "0", "4096", "4097"));
            case 3 -> draft.ioctl(draft.any(Kind.VM), "KVM_CREATE_PIT2");
            default -> draft.ioctl(draft.any(Kind.VM), "KVM_SET_TSS_ADDR",
                    draft.mostly("0xfffbd000", "0xffffd000", "0xffffe000", "0x100000000"));
        }
    }

    private void createVcpu() {
        draft.make(Kind.VCPU, "ioctl " + draft.any(Kind.VM) + " KVM_CREATE_VCPU "
                + draft.mostly(draft.of("0", "1"), "4095", "0x100000", "0xffffffff"));
        if (draft.chance(3)) {
            draft.make(Kind.BAR, "mmap " + draft.of("0x1000", "0x2000", "0x3000") + " " + draft.last(Kind.VCPU) + " 0");
        }
    }

    private void message() {
        draft.ioctl(draft.any(Kind.VM), "KVM_SIGNAL_MSI", "address_lo=0xfee00000",
                "address_hi=0", "data=" + draft.of("0x20", "0x41"), "flags=" + draft.mostly("0", "2", "1"));
    }

    private void line() {
        draft.ioctl(draft.any(Kind.VM), "KVM_IRQ_LINE", "irq=" + draft.mostly(draft.of("0", "5", "16"), "24", "5000"),
                "level=" + draft.of("0", "1"));
    }

    private void eventFdData() {
        switch (draft.below(4)) {
            case 0 -> draft.step("read", draft.only(Kind.EVENTFD), draft.mostly("8", "4", "16"));
            case 1 -> draft.step("poll", draft.any(Kind.EVENTFD), draft.of("1", "4", "5"));
            default -> draft.step("write", draft.any(Kind.EVENTFD),
                    draft.mostly("0100000000000000", "ffffffffffffffff", "01000000", "feffffffffffffff"));
        }
    }

    /**
     * What can be done with any file, and the end of a mapping. Memory that a page table may read later is not to be
     * unmapped: the Java machine could take the address.
     */
    void files(Kind unmapped) {
        switch (draft.below(6)) {
            case 0, 1 -> draft.step("close", draft.anyFile());
            case 2 -> {
                for (Kind kind : new Kind[]{Kind.GROUP, Kind.DEVICE, Kind.EVENTFD, Kind.VM, Kind.KVM_VFIO}) {
                    if (draft.has(kind) && draft.chance(3)) {
                        String file = draft.any(kind);
                        // What a device answers that is read as an eventfd is its own, and no kernel's.
                        boolean ofDevice = kind == Kind.EVENTFD && file.startsWith("d");
                        draft.make(kind, "dup " + (ofDevice ? "nothing" : file));
                    }
                }
            }
            case 3 -> draft.step("munmap", draft.any(unmapped));
            case 4 -> draft.step("pread", draft.anyFile(), "4", "0x70000000000");
            default -> draft.step("poll", draft.anyFile(), "1");
        }
    }
}
