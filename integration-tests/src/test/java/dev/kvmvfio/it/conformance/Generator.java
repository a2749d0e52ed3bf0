package dev.kvmvfio.it.conformance;

import java.util.List;

/** Random sequences: a valid state first, then what is nearly right. A seed and a number always make the same one. */
record Generator(long seed, List<Theme> themes, boolean withChips) {
    private static final int FEWEST = 24;
    private static final int SPREAD = 16;

    /** What a sequence is about. */
    enum Theme {
        /** Virtual machines alone. */
        KVM,
        /** Groups and containers. */
        GROUP,
        /** A device's own node, and iommufd. */
        CDEV
    }

    Sequence sequence(int number) {
        Draft draft = new Draft(seed * 1_000_003 + number, withChips);
        Theme theme = themes.get(draft.below(themes.size()));
        switch (theme) {
            case KVM -> kvm(draft);
            case GROUP -> group(draft);
            case CDEV -> cdev(draft);
        }
        if (draft.chance(2)) {
            draft.closeAll();
        }
        return draft.sequence(theme + " " + seed + "/" + number);
    }

    private static void kvm(Draft draft) {
        KvmMoves kvm = new KvmMoves(draft);
        kvm.begin();
        int length = FEWEST + draft.below(SPREAD);
        while (draft.length() < length) {
            kvm.move();
        }
    }

    private static void group(Draft draft) {
        GroupMoves group = new GroupMoves(draft);
        play(draft, group::begin, group::move);
    }

    private static void cdev(Draft draft) {
        IommufdMoves iommufd = new IommufdMoves(draft);
        play(draft, iommufd::begin, iommufd::move);
    }

    private static void play(Draft draft, Runnable begin, Runnable move) {
        KvmMoves kvm = new KvmMoves(draft);
        DeviceMoves device = new DeviceMoves(draft);
        boolean withKvm = draft.chance(3);
        if (withKvm) {
            kvm.begin();
        } else {
            kvm.memory();
            kvm.eventFd();
        }
        begin.run();
        int length = draft.length() + FEWEST / 2 + draft.below(SPREAD);
        while (draft.length() < length) {
            switch (draft.below(10)) {
                case 0, 1, 2, 3 -> device.move();
                case 4 -> kvm.files();
                case 5 -> withKvm(kvm, draft, withKvm);
                default -> move.run();
            }
        }
    }

    private static void withKvm(KvmMoves kvm, Draft draft, boolean withKvm) {
        if (withKvm) {
            kvm.attribute(draft.anyFile());
        } else {
            kvm.eventFd();
        }
    }
}
