package dev.kvmvfio.it.conformance;

import dev.kvmvfio.it.conformance.Draft.Kind;

/** Random sequences: a valid state first, then what is nearly right. A title always stands for the same sequence. */
record Generator(Target target) {
    private static final int FEWEST = 24;
    private static final int SPREAD = 16;
    private static final int REPEATED = 24;
    private static final long STRIDE = 1_000_003;

    /** What a sequence is made from; as text it is the sequence's title. */
    record Title(Family family, long seed, int number) {
        static Title parse(String text) {
            String[] parts = text.split("[ /]");
            return new Title(Family.of(parts[0]), Long.parseLong(parts[1]), Integer.parseInt(parts[2]));
        }

        @Override
        public String toString() {
            return family.label() + " " + seed + "/" + number;
        }
    }

    Sequence sequence(Title title) {
        Draft draft = new Draft((title.seed * STRIDE + title.number) * STRIDE + title.family.label().hashCode(),
                target);
        switch (title.family) {
            case KVM -> {
                KvmMoves kvm = new KvmMoves(draft);
                kvm.begin();
                play(draft, kvm::move);
            }
            case GROUP -> {
                GroupMoves group = new GroupMoves(draft);
                withDevices(draft, group::begin, group::move);
            }
            case CDEV -> {
                IommufdMoves iommufd = new IommufdMoves(draft);
                withDevices(draft, iommufd::begin, iommufd::move);
            }
        }
        if (draft.chance(2)) {
            draft.giveBackAll();
        }
        return draft.sequence(title.toString());
    }

    private static void play(Draft draft, Runnable move) {
        int length = Math.max(FEWEST, draft.length() + FEWEST / 2) + draft.below(SPREAD);
        while (draft.length() < length) {
            if (draft.chance(REPEATED)) {
                draft.repeat();
            } else {
                move.run();
            }
        }
    }

    private static void withDevices(Draft draft, Runnable begin, Runnable move) {
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
        play(draft, () -> {
            switch (draft.below(10)) {
                case 0, 1, 2, 3 -> device.move();
                case 4 -> kvm.files(Kind.BAR);
                case 5 -> {
                    if (withKvm) {
                        kvm.attribute(draft.anyFile());
                    } else {
                        kvm.eventFd();
                    }
                }
                default -> move.run();
            }
        });
    }
}
