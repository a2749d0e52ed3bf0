package dev.kvmvfio.cli;

import com.google.gson.annotations.SerializedName;
import dev.kvmvfio.passthrough.AttachedDevice;
import dev.kvmvfio.passthrough.InterfaceChoice;
import dev.kvmvfio.passthrough.Step;
import dev.kvmvfio.pci.PciAddress;
import dev.kvmvfio.vfio.Interrupt;
import dev.kvmvfio.vfio.Region;
import dev.kvmvfio.vfio.VfioDevice;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** One JSON document, printed as soon as the device is attached; sizes are numbers, addresses and IDs are text. */
final class JsonReport implements Report {
    private final Output out;
    private final List<StepEntry> steps = new ArrayList<>();

    private record Attached(String address, String vendorId, String deviceId,
            @SerializedName("interface") String vfioInterface, String reason,
            boolean canReset, List<StepEntry> steps, List<RegionEntry> regions, List<InterruptEntry> interrupts) {
    }

    private record StepEntry(String call, String file, String result) {
    }

    private record RegionEntry(int index, String name, long size, List<String> access, List<AreaEntry> mappable) {
        RegionEntry(Region region) {
            this(region.index(), region.name(), region.size(), region.access(),
                    region.mappableAreas().stream().map(area -> new AreaEntry(area.offset(), area.size())).toList());
        }
    }

    private record AreaEntry(long offset, long length) {
    }

    private record InterruptEntry(int index, String name, int count, boolean maskable, boolean automasked,
            boolean noResize) {
        InterruptEntry(Interrupt interrupt) {
            this(interrupt.index(), interrupt.name(), interrupt.count(), interrupt.isMaskable(),
                    interrupt.isAutomasked(), !interrupt.isResizable());
        }
    }

    JsonReport(Output out) {
        this.out = out;
    }

    /** The document has it among the rest. */
    @Override
    public void chosen(PciAddress address, InterfaceChoice choice) {
    }

    /** What is undone after the document cannot be in it; the exit code tells how that went. */
    @Override
    public void step(Step step) {
        if (!step.isUndo()) {
            steps.add(new StepEntry(step.call(), step.file(), step.result()));
        }
    }

    @Override
    public void attached(PciAddress address, AttachedDevice attached) {
        VfioDevice device = attached.device();
        out.lines(
                Json.of(new Attached(address.toString(), Json.hex(4, device.vendorId()), Json.hex(4, device.deviceId()),
                        attached.choice().chosen().name().toLowerCase(Locale.ROOT), attached.choice().reason(),
                        device.canReset(), steps, device.regions().stream().map(RegionEntry::new).toList(),
                        device.interrupts().stream().map(InterruptEntry::new).toList())));
    }
}
