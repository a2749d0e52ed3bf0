package dev.kvmvfio.cli;

import dev.kvmvfio.passthrough.AttachedDevice;
import dev.kvmvfio.passthrough.InterfaceChoice;
import dev.kvmvfio.passthrough.Step;
import dev.kvmvfio.pci.PciAddress;

/** How the program tells what it does. */
interface Report {
    /** The device can be attached, as far as the host's files say. */
    void chosen(PciAddress address, InterfaceChoice choice);

    /** A step was done or undone. */
    void step(Step step);

    /** All steps were done, and the device can be asked what it is. */
    void attached(PciAddress address, AttachedDevice attached);
}
