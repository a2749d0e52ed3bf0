package dev.kvmvfio.it.conformance;

import dev.kvmvfio.it.conformance.Draft.Kind;

/** What a program does with groups and containers, and nearly does. */
final class GroupMoves {
    private static final String[] DEVICES = {MockLab.EDU, MockLab.SHARED_EDU, MockLab.SIBLING};

    private final Draft draft;

    GroupMoves(Draft draft) {
        this.draft = draft;
    }

    void begin() {
        String device = draft.of(DEVICES);
        String group = openGroup(device);
        String container = openContainer();
        draft.ioctl(group, "VFIO_GROUP_SET_CONTAINER", "&" + container);
        draft.ioctl(container, "VFIO_SET_IOMMU", draft.mostly(draft.of("3", "3", "1"), "2", "8", "999"));
        String opened = draft.make(Kind.DEVICE, "ioctl " + group + " VFIO_GROUP_GET_DEVICE_FD \"" + device + "\"");
        new DeviceMoves(draft).opened(opened, device);
    }

    String openGroup(String device) {
        return draft.make(Kind.GROUP, "open group:" + device);
    }

    String openContainer() {
        return draft.make(Kind.CONTAINER, "open /dev/vfio/vfio");
    }

    private void openDevice(String group, String device) {
        String opened = draft.make(Kind.DEVICE, "ioctl " + group + " VFIO_GROUP_GET_DEVICE_FD " + draft.mostly("\""
                + device + "\"", "\"0000:00:05.1\"", "\"" + device + " x\"", "\"" + device + " \"", "0x1000",
                "\"" + device + " vf_token=1\""));
        new DeviceMoves(draft).opened(opened, device);
    }

    void move() {
        switch (draft.below(17)) {
            case 0 -> openGroup(draft.of(DEVICES));
            case 1 -> openContainer();
            case 2 -> draft.ioctl(draft.any(Kind.GROUP), "VFIO_GROUP_GET_STATUS",
                    "argsz=" + draft.mostly("8", "7", "0", "16"));
            case 3, 4 -> setContainer();
            case 5 -> draft.ioctl(draft.any(Kind.GROUP), "VFIO_GROUP_UNSET_CONTAINER");
            case 6 -> draft.ioctl(draft.any(Kind.CONTAINER), "VFIO_SET_IOMMU", draft.of("3", "1", "3", "7"));
            case 7 -> openDevice(draft.any(Kind.GROUP), draft.of(DEVICES));
            case 8 -> containerInfo();
            case 9, 10, 11, 12 -> mapDma(draft.any(Kind.CONTAINER));
            case 13, 14 -> unmapDma(draft.any(Kind.CONTAINER));
            case 15 -> dirtyPages();
            default -> against();
        }
    }

    /** The device's own node, which its group shuts out. */
    private void against() {
        if (draft.target().hasCdev()) {
            IommufdMoves iommufd = new IommufdMoves(draft);
            iommufd.bind(iommufd.openCdev(draft.of(DEVICES)), iommufd.openIommufd());
        } else {
            openGroup(draft.of(DEVICES));
        }
    }

    private void setContainer() {
        String target = draft.mostly(draft.any(Kind.CONTAINER), draft.anyFile(), "nothing");
        draft.ioctl(draft.any(Kind.GROUP), "VFIO_GROUP_SET_CONTAINER", draft.mostly("&" + target, "0x1000"));
    }

    private void containerInfo() {
        String container = draft.any(Kind.CONTAINER);
        switch (draft.below(3)) {
            case 0 -> draft.ioctl(container, "VFIO_GET_API_VERSION");
            case 1 -> draft.ioctl(container, "VFIO_CHECK_EXTENSION",
                    draft.of("0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"));
            default -> draft.ioctl(container, "VFIO_IOMMU_GET_INFO",
                    "argsz=" + draft.of("16", "24", "15", "20", "64", "256", "0"));
        }
    }

    void mapDma(String container) {
        String memory = draft.any(Kind.MEMORY);
        draft.ioctl(container, "VFIO_IOMMU_MAP_DMA", "argsz=" + draft.mostly("32", "31", "0", "40"),
                "flags=" + draft.mostly(draft.of("3", "3", "1", "2"), "0", "8", "7"),
                "vaddr=" + draft.mostly(memory + draft.of("+0x0", "+0x0", "+0x1000", "+0x4000"), memory + "+0x800",
                        "0x1000", "0x8000000000000000", draft.only(Kind.BAR) + "+0x0"),
                "iova=" + draft.mostly(iova(), "0x800", "0xfee00000", "0xfedff000", "0xffff000000000000",
                        "0xfffffffffffff000", "0x1000000000000"),
                "size=" + draft.mostly(size(), "0x0", "0x800", "0xfffffffffffff000"));
    }

    private String iova() {
        return draft.of("0x0", "0x1000", "0x2000", "0x3000", "0x4000", "0x8000", "0x100000");
    }

    private String size() {
        return draft.of("0x1000", "0x1000", "0x2000", "0x4000", "0x8000");
    }

    void unmapDma(String container) {
        boolean all = draft.chance(6);
        draft.ioctl(container, "VFIO_IOMMU_UNMAP_DMA", "argsz=" + draft.mostly("24", "23", "0", "32"),
                "flags=" + draft.mostly(all ? "2" : "0", "8", "3"),
                "iova=" + (all ? draft.mostly("0x0", "0x1000") : draft.mostly(iova(), "0x800", "0xfffffffffffff000")),
                "size=" + (all
                        ? draft.mostly("0x0", "0x1000")
                        : draft.mostly(size(), "0x0", "0x800", "0x100000",
                                "0xffffffffffffffff")));
    }

    private void dirtyPages() {
        draft.ioctl(draft.any(Kind.CONTAINER), "VFIO_IOMMU_DIRTY_PAGES", "argsz=" + draft.mostly("8", "7", "0"),
                "flags=" + draft.mostly(draft.of("1", "2"), "0", "3", "8", "5"));
    }
}
