package dev.kvmvfio.internal;

/**
 * The order of types in which things are given back. A handle closes, and waits for, only what is lower: then every wait
 * leads downward, and no two closes can wait for each other. The highest is first here.
 */
public final class Rank {
    /** KVM itself: VMs come from it. */
    public static final int SYSTEM = 0;
    /** A VM. */
    public static final int VM = 1;
    /** A guest's memory: it takes its blocks along. */
    public static final int GUEST_MEMORY = 2;
    /** What was opened for one attached device. */
    public static final int ATTACHED_DEVICE = 3;
    /** A VM's device that knows of VFIO's files. */
    public static final int KVM_VFIO = 4;
    /** An open file from which other things are made: a vCPU, a device of KVM, an iommufd, a container, a group, a cdev. */
    public static final int FILE = 5;
    /** What lies between a file and its devices: a registration with KVM, a group's being in a container. */
    public static final int REGISTRATION = 6;
    /** A device, and an address space that it may be attached to. */
    public static final int DEVICE = 7;
    /** What gives a device its memory: its attachment, a container's IOMMU. */
    public static final int ATTACHMENT = 8;
    /** What a program makes of a device: a BAR for the guest, interrupts for the guest. */
    public static final int USE = 9;
    /** An interrupt that is enabled. */
    public static final int INTERRUPT = 10;
    /** A guest's memory in one address space. */
    public static final int SPACE = 11;
    /** What others refer to: memory, an eventfd, a route. */
    public static final int MEMORY = 12;
    /** A block of a guest's memory. */
    public static final int BLOCK = 13;
    /** What needs two others and is needed by nobody: a slot, a mapping, an irqfd. */
    public static final int LINK = 14;

    private Rank() {
    }
}
