package dev.kvmvfio.it.conformance;

import dev.kvmvfio.it.conformance.Draft.Kind;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;

/**
 * Random sequences: a valid state first, then what is nearly right. A title always stands for the same sequence.
 *
 * <p>A family has moves of its own, and others join. Those draw from a stream of their own, also whether it is their turn:
 * a sequence in which they take none is as it is without them, and what was recorded of it remains true.
 */
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

    /** Moves that join: they take one turn of so many that come to them. */
    record Joining(Draft draft, int of, Runnable move) {
        boolean takesTurn() {
            return draft.chance(of);
        }
    }

    Sequence sequence(Title title) {
        return sequence(title, _ -> List.of());
    }

    /** The sequence when others join too. */
    Sequence sequence(Title title, Function<Draft, List<Joining>> others) {
        Draft draft = new Draft((title.seed * STRIDE + title.number) * STRIDE + title.family.label().hashCode(),
                target);
        List<Joining> joining = new ArrayList<>();
        Runnable move = switch (title.family) {
            case KVM -> {
                KvmMoves kvm = new KvmMoves(draft);
                kvm.begin();
                yield kvm::move;
            }
            case GROUP -> {
                joining.addAll(withDevices(draft));
                GroupMoves group = new GroupMoves(draft);
                group.begin();
                yield group::move;
            }
            case CDEV -> {
                joining.addAll(withDevices(draft));
                IommufdMoves iommufd = new IommufdMoves(draft);
                iommufd.begin();
                yield iommufd::move;
            }
        };
        joining.addAll(others.apply(draft));
        play(draft, move, joining);
        if (draft.chance(2)) {
            draft.giveBackAll();
        }
        return draft.sequence(title.toString());
    }

    private static void play(Draft draft, Runnable move, List<Joining> joining) {
        int length = Math.max(FEWEST, draft.length() + FEWEST / 2) + draft.below(SPREAD);
        while (draft.length() < length) {
            if (draft.chance(REPEATED)) {
                draft.repeat();
            } else {
                joining.stream().filter(Joining::takesTurn).findFirst().map(Joining::move).orElse(move).run();
            }
        }
    }

    /** Begins with memory and an eventfd, now and then with virtual machines; later come the device and its files. */
    private static List<Joining> withDevices(Draft draft) {
        Draft ofKvm = draft.joinedBy("kvm");
        KvmMoves kvm = new KvmMoves(ofKvm);
        boolean withKvm = ofKvm.chance(3);
        if (withKvm) {
            kvm.begin();
        } else {
            kvm.memory();
            kvm.eventFd();
        }
        Draft ofDevice = draft.joinedBy("device");
        return List.of(new Joining(ofKvm, 5, () -> {
            if (ofKvm.chance(2)) {
                kvm.files(Kind.BAR);
            } else if (withKvm) {
                kvm.attribute(ofKvm.anyFile());
            } else {
                kvm.eventFd();
            }
        }), new Joining(ofDevice, 2, new DeviceMoves(ofDevice)::move));
    }
}
