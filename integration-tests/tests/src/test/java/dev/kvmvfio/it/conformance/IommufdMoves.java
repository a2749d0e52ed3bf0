package dev.kvmvfio.it.conformance;

import dev.kvmvfio.it.conformance.Draft.Kind;

/** What a program does with a device's own node and iommufd, and nearly does. */
final class IommufdMoves {
    private static final String[] DEVICES = {MockLab.EDU, MockLab.SHARED_EDU, MockLab.SIBLING};

    private final Draft draft;
    private final GroupMoves groups;

    IommufdMoves(Draft draft) {
        this.draft = draft;
        this.groups = new GroupMoves(draft);
    }

    void begin() {
        String address = draft.of(DEVICES);
        String device = openCdev(address);
        String iommufd = openIommufd();
        draft.ioctl(device, "VFIO_DEVICE_BIND_IOMMUFD", "iommufd=" + iommufd);
        new DeviceMoves(draft).opened(device, address);
        String space = draft.make(Kind.IOAS, "ioctl " + iommufd + " IOMMU_IOAS_ALLOC flags=0");
        if (!draft.chance(4)) {
            draft.make(Kind.HWPT, "ioctl " + device + " VFIO_DEVICE_ATTACH_IOMMUFD_PT pt_id=" + space);
        }
    }

    String openCdev(String device) {
        return draft.make(Kind.DEVICE, "open cdev:" + device);
    }

    String openIommufd() {
        return draft.make(Kind.IOMMUFD, "open /dev/iommu");
    }

    void bind(String device, String iommufd) {
        draft.ioctl(device, "VFIO_DEVICE_BIND_IOMMUFD", "argsz=" + draft.mostly("16", "15", "0"),
                "flags=" + draft.mostly("0", "2", "4"), "iommufd=" + draft.mostly(iommufd, "-1", draft.anyFile()));
    }

    private void allocate(String iommufd) {
        draft.make(Kind.IOAS, "ioctl " + iommufd + " IOMMU_IOAS_ALLOC " + size("12") + " flags="
                + draft.mostly("0", "1"));
    }

    /** A struct's own size; too small, and too large with zeroes and with something else behind it. */
    private String size(String right) {
        int bytes = Integer.parseInt(right);
        return draft.mostly("size=" + bytes, "size=" + (bytes - 1), "size=" + (bytes + 8),
                "size=" + (bytes + 8) + " tail=1", "size=0");
    }

    private String id() {
        return draft.mostly(draft.any(Kind.IOAS), draft.of("0", "1", "2", "3", "4"), draft.any(Kind.HWPT),
                "0xffffffff");
    }

    private void attach(String device) {
        draft.make(Kind.HWPT,
                "ioctl " + device + " VFIO_DEVICE_ATTACH_IOMMUFD_PT argsz=" + draft.mostly("12", "11", "0")
                        + " flags=" + draft.mostly("0", "2") + " pt_id=" + id());
    }

    void move() {
        String iommufd = draft.any(Kind.IOMMUFD);
        switch (draft.below(24)) {
            case 0 -> bind(openCdev(draft.of(DEVICES)), iommufd);
            case 1 -> openIommufd();
            case 2 -> bind(draft.any(Kind.DEVICE), iommufd);
            case 3, 4 -> attach(draft.any(Kind.DEVICE));
            case 5 -> draft.ioctl(draft.any(Kind.DEVICE), "VFIO_DEVICE_DETACH_IOMMUFD_PT",
                    "argsz=" + draft.mostly("8", "7", "0"), "flags=" + draft.mostly("0", "2"));
            case 6 -> allocate(iommufd);
            case 7 -> draft.ioctl(iommufd, "IOMMU_DESTROY", size("8"), "id=" + id());
            case 8, 9, 10, 11, 12 -> map(iommufd);
            case 13, 14 -> unmap(iommufd);
            case 15 -> draft.ioctl(iommufd, "IOMMU_IOAS_IOVA_RANGES", size("32"), "ioas_id=" + id(),
                    "num_iovas=" + draft.of("0", "1", "2", "4"), "allowed_iovas=@0,0,0,0,0,0,0,0");
            case 16 -> draft.ioctl(iommufd, "IOMMU_IOAS_ALLOW_IOVAS", size("24"), "ioas_id=" + id(),
                    "num_iovas=" + draft.of("0", "1", "2"), "__reserved=" + draft.mostly("0", "1"), "allowed_iovas=@"
                            + draft.of("0x0,0xffff", "0x10000,0xfffff", "0x5000,0x4fff", "0xfee00000,0xfeefffff") + ","
                            + draft.of("0x100000,0x1fffff", "0x8000,0x8fff", "0x200000,0x2fffff"));
            case 17, 18 -> copy(iommufd);
            case 19 -> option(iommufd);
            case 20 -> draft.ioctl(iommufd, "IOMMU_VFIO_IOAS", size("12"), "ioas_id=" + id(),
                    "op=" + draft.mostly(draft.of("0", "1", "2"), "3"));
            case 21 -> compat(iommufd);
            case 22 -> against();
            default -> page(iommufd);
        }
    }

    private String iova() {
        return draft.of("0x0", "0x1000", "0x2000", "0x3000", "0x4000", "0x8000", "0x100000");
    }

    private String length() {
        return draft.of("0x1000", "0x1000", "0x2000", "0x4000", "0x8000");
    }

    private void map(String iommufd) {
        String memory = draft.any(Kind.MEMORY);
        boolean anywhere = draft.chance(6);
        draft.ioctl(iommufd, "IOMMU_IOAS_MAP", size("40"),
                "flags=" + (anywhere ? "6" : draft.mostly(draft.of("7", "7", "5", "3"), "1", "0xf", "0x17")),
                "ioas_id=" + id(), "__reserved=" + draft.mostly("0", "1"),
                "user_va=" + draft.mostly(memory + draft.of("+0x0", "+0x0", "+0x1000", "+0x4000"), memory + "+0x800",
                        "0x1000", draft.only(Kind.BAR) + "+0x0"),
                "length=" + (anywhere
                        ? "0x1000"
                        : draft.mostly(length(), "0x0", "0x800", "0xffffffffffffffff",
                                "0xfffffffffffff000")),
                "iova=" + draft.mostly(iova(), "0x800", "0xfee00000", "0xfedff000", "0xfffffffffffff000",
                        "0xffffffffffffffff", "0x1000000000000"));
    }

    private void unmap(String iommufd) {
        boolean all = draft.chance(6);
        draft.ioctl(iommufd, "IOMMU_IOAS_UNMAP", size("24"), "ioas_id=" + id(), "iova=" + (all
                ? "0"
                : draft.mostly(iova(), "0x800",
                        "0xffffffffffffffff", "0xfffffffffffff000")),
                "length=" + (all
                        ? "0xffffffffffffffff"
                        : draft.mostly(length(), "0x0", "0x800", "0x100000",
                                "0xfffffffffffff000")));
    }

    private void copy(String iommufd) {
        draft.ioctl(iommufd, "IOMMU_IOAS_COPY", size("40"),
                "flags=" + draft.mostly(draft.of("7", "5", "3"), "1", "0xf"),
                "dst_ioas_id=" + id(), "src_ioas_id=" + id(), "length=" + draft.mostly(length(), "0", "0x800",
                        "0xffffffffffffffff"),
                "dst_iova=" + draft.mostly(iova(), "0x800", "0xfee00000"), "src_iova=" + draft.mostly(iova(), "0x800"));
    }

    private void option(String iommufd) {
        draft.ioctl(iommufd, "IOMMU_OPTION", size("24"), "option_id=" + draft.mostly(draft.of("0", "1"), "2"),
                "op=" + draft.mostly(draft.of("0", "1"), "2"), "__reserved=" + draft.mostly("0", "1"),
                "object_id=" + draft.of("0", id()), "val64=" + draft.mostly(draft.of("0", "1"), "2"));
    }

    private void compat(String iommufd) {
        switch (draft.below(6)) {
            case 0 -> groups.mapDma(iommufd);
            case 1 -> groups.unmapDma(iommufd);
            case 2 -> draft.ioctl(iommufd, "VFIO_IOMMU_GET_INFO", "argsz=" + draft.of("16", "24", "15", "20", "64",
                    "256"));
            case 3 -> draft.ioctl(iommufd, "VFIO_SET_IOMMU", draft.of("1", "3", "8"));
            case 4 -> draft.ioctl(iommufd, "VFIO_CHECK_EXTENSION", draft.of("1", "2", "3", "4", "6", "7", "9", "10"));
            default -> draft.ioctl(iommufd, draft.of("VFIO_GET_API_VERSION", "VFIO_UNKNOWN", "KVM_UNKNOWN"), "0");
        }
    }

    /** The device's group, which its own node shuts out. */
    private void against() {
        String device = draft.of(DEVICES);
        String group = groups.openGroup(device);
        if (draft.chance(2)) {
            draft.ioctl(group, "VFIO_GROUP_SET_CONTAINER", "&" + draft.any(Kind.IOMMUFD));
            draft.make(Kind.DEVICE, "ioctl " + group + " VFIO_GROUP_GET_DEVICE_FD \"" + device + "\"");
        }
    }

    private void page(String iommufd) {
        draft.make(Kind.HWPT, "ioctl " + iommufd + " IOMMU_HWPT_ALLOC flags=" + draft.mostly("0", "0x100") + " dev_id="
                + draft.of("1", "1", "2", id()) + " pt_id=" + id());
    }
}
