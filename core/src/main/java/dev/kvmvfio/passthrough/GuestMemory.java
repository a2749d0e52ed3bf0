package dev.kvmvfio.passthrough;

import dev.kvmvfio.dma.DmaAccess;
import dev.kvmvfio.dma.DmaMapping;
import dev.kvmvfio.dma.DmaSpace;
import dev.kvmvfio.internal.Lifecycle;
import dev.kvmvfio.internal.OneKernel;
import dev.kvmvfio.internal.Rank;
import dev.kvmvfio.kernel.ClosedException;
import dev.kvmvfio.kernel.Handle;
import dev.kvmvfio.kernel.HostMemory;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.kvm.MemorySlot;
import dev.kvmvfio.kvm.SlotFlag;
import dev.kvmvfio.kvm.Vm;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * A guest's memory: blocks that the guest sees through memory slots, and that every attached device sees at an IOVA
 * that equals the guest-physical address. Blocks and devices come and go in any order while the guest runs.
 *
 * {@snippet :
 * try (Kvm kvm = Kvm.open();
 *         Vm vm = kvm.createVm();
 *         HostMemory ram = HostMemory.allocate(Kernel.linux(), 64 << 20);
 *         HostMemory more = HostMemory.allocate(Kernel.linux(), 64 << 20);
 *         GuestMemory memory = GuestMemory.create(vm, 0, ram)) {
 *     AttachedDevice.request("0000:6a:01.0").attach(memory);
 *     GuestMemory.Block hotplugged = memory.add(1L << 32, more);    // the device reaches it as well
 *     hotplugged.close();
 * }
 * }
 *
 * <p>Adding a block, and mapping all into an address space, is done everywhere or nowhere: what the kernel refuses in one
 * place is undone in the others.
 *
 * <p>Closing it takes all of it from the devices and from the guest. It belongs to its VM.
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread.
 */
public final class GuestMemory extends Handle {
    private final Vm vm;
    /** Held by what adds: a close waits for it, and it for no close. */
    private final ReentrantLock adding = new ReentrantLock();
    /** Changed by who adds. Beside the blocks, of which there may be thousands. */
    private final List<AttachedSpace> spaces = new ArrayList<>();

    private GuestMemory(Vm vm) {
        super(Rank.GUEST_MEMORY);
        this.vm = vm;
    }

    /**
     * Begins with no memory.
     *
     * @param vm whose guest's memory it is
     * @return the memory, which belongs to the VM
     */
    public static GuestMemory create(Vm vm) {
        return Lifecycle.adopt(new GuestMemory(vm), vm);
    }

    /**
     * Begins with one block, which for many guests is all.
     *
     * @param vm whose guest's memory it is
     * @param guestPhysicalAddress where the guest and its devices see the block, in bytes; a multiple of the page size
     * @param memory what backs it; closing it closes the block
     * @return the memory, which belongs to the VM
     * @throws IllegalArgumentException when the address is not page-aligned, or the memory is of another kernel
     * @throws KernelException when the kernel refuses the slot
     */
    public static GuestMemory create(Vm vm, long guestPhysicalAddress, HostMemory memory) {
        return Lifecycle.complete(create(vm), self -> self.add(guestPhysicalAddress, memory));
    }

    /** Memory at a guest-physical address. Closing it takes it from the devices, then from the guest. */
    public static final class Block extends Handle {
        private final long guestPhysicalAddress;
        private final HostMemory memory;
        private final DmaAccess access;
        private volatile @Nullable MemorySlot slot;

        private Block(long guestPhysicalAddress, HostMemory memory, DmaAccess access) {
            super(Rank.BLOCK);
            this.guestPhysicalAddress = guestPhysicalAddress;
            this.memory = memory;
            this.access = access;
        }

        /**
         * The slot through which the guest sees it, with its dirty log.
         *
         * @return closed with this block
         * @throws IllegalStateException while the block is being added
         */
        public MemorySlot slot() {
            return Lifecycle.part(slot, this);
        }

        /**
         * What backs it.
         *
         * @return memory that is closed after this block
         */
        public HostMemory memory() {
            return memory;
        }

        @Override
        public String toString() {
            return String.format("guest memory of 0x%x bytes at 0x%x", memory.size(), guestPhysicalAddress);
        }
    }

    /** An address space that has all blocks. */
    private static final class AttachedSpace extends Handle {
        private final DmaSpace space;

        AttachedSpace(DmaSpace space) {
            super(Rank.SPACE);
            this.space = space;
        }

        private void map(Block block) {
            DmaMapping mapping = space.map(block.guestPhysicalAddress, block.memory, 0, block.memory.size(),
                    block.access);
            Lifecycle.adopt(mapping, this, block);
        }

        /** A block that goes away on another thread meanwhile needs no mapping. */
        void mapIfThere(Block block) {
            try {
                map(block);
            } catch (ClosedException gone) {
                if (block.isOpen()) {
                    throw gone;
                }
            }
        }

        /** Nor does any block in a space that goes away. */
        void mapIfOpen(Block block) {
            try {
                map(block);
            } catch (ClosedException gone) {
                return;
            }
        }

        @Override
        public String toString() {
            return "guest memory in " + space;
        }
    }

    /**
     * Gives the guest a block, and every attached address space as well.
     *
     * @param guestPhysicalAddress where the guest and its devices see it, in bytes; a multiple of the page size
     * @param memory what backs it; closing it closes the block
     * @param flags what is special about its slot; devices may not write to a {@link SlotFlag#READ_ONLY} one
     * @return the block, which belongs to this memory
     * @throws IllegalArgumentException when the address is not page-aligned, or the memory is of another kernel
     * @throws KernelException when the kernel refuses the slot or one of the mappings; nothing of it is left then
     */
    public Block add(long guestPhysicalAddress, HostMemory memory, SlotFlag... flags) {
        DmaAccess access = List.of(flags).contains(SlotFlag.READ_ONLY) ? DmaAccess.READ : DmaAccess.READ_WRITE;
        Block block = new Block(guestPhysicalAddress, memory, access);
        return whileAdding(() -> Lifecycle.make(block, () -> fill(block, flags), this, memory));
    }

    private void fill(Block block, SlotFlag... flags) {
        block.slot = Lifecycle.adopt(vm.memory().add(block.guestPhysicalAddress, block.memory, flags), block);
        spaces().forEach(space -> space.mapIfOpen(block));
    }

    private <T> T whileAdding(Supplier<T> addition) {
        return Lifecycle.lease(this, () -> {
            adding.lock();
            try {
                return addition.get();
            } finally {
                adding.unlock();
            }
        });
    }

    /**
     * Maps all blocks into an address space of devices, and those that are added later. Its devices reach this guest's
     * memory then, also when they are another VM's: a space has no VM.
     *
     * @param space an IOAS or a container
     * @return what takes the blocks out of the space when it is closed; it belongs to the space and to this memory, and is
     *         closed when the last group leaves a container, whose mappings go then
     * @throws IllegalArgumentException when the space has this memory already, or is of another kernel
     * @throws KernelException when the kernel refuses one of the mappings; nothing is mapped then
     */
    public Handle mapInto(DmaSpace space) {
        OneKernel.require(vm.fd(), space.fd());
        return whileAdding(() -> {
            if (spaces().stream().anyMatch(attached -> attached.space == space)) {
                throw new IllegalArgumentException(space + " has this memory already");
            }
            AttachedSpace attached = new AttachedSpace(space);
            Lifecycle.make(attached, () -> blocks().forEach(attached::mapIfThere), this, space);
            spaces.add(attached);
            return attached;
        });
    }

    /**
     * The blocks that are there now.
     *
     * @return a copy, the oldest first
     */
    public List<Block> blocks() {
        return Lifecycle.children(this, Block.class);
    }

    /** A copy: who observes the calls on one may add another. */
    private List<AttachedSpace> spaces() {
        spaces.removeIf(space -> !space.isOpen());
        return List.copyOf(spaces);
    }

    /**
     * The VM whose guest sees it.
     *
     * @return the owner of this memory
     */
    public Vm vm() {
        return vm;
    }

    @Override
    public String toString() {
        return "guest memory of " + vm;
    }
}
