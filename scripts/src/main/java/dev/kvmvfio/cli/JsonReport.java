package dev.kvmvfio.cli;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.annotations.SerializedName;
import dev.kvmvfio.passthrough.AttachedDevice;
import dev.kvmvfio.passthrough.InterfaceChoice;
import dev.kvmvfio.passthrough.Step;
import dev.kvmvfio.pci.PciAddress;
import dev.kvmvfio.vfio.Interrupt;
import dev.kvmvfio.vfio.Region;
import dev.kvmvfio.vfio.VfioDevice;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** One JSON document, printed as soon as the device is attached; numbers are decimal, addresses are text. */
final class JsonReport implements Report {
    private static final Gson GSON = new GsonBuilder().setPrettyPrinting().disableHtmlEscaping().create();

    private final PrintWriter out;
    private final List<StepEntry> steps = new ArrayList<>();

    private record Attached(String address, int vendorId, int deviceId,
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

    JsonReport(PrintWriter out) {
        this.out = out;
    }

    /** The document has it among the rest. */
    @Override
    public void chosen(PciAddress address, InterfaceChoice choice) {
    }

    /** What is undone after the document cannot be in it; the exit code tells how that went. */
    @Override
    public void step(Step step) {
        if (!step.undo()) {
            steps.add(new StepEntry(step.call(), step.file(), step.result()));
        }
    }

    @Override
    public void attached(PciAddress address, AttachedDevice attached) {
        VfioDevice device = attached.device();
        out.println(GSON.toJson(new Attached(address.toString(), device.vendorId(), device.deviceId(),
                attached.choice().chosen().name().toLowerCase(Locale.ROOT), attached.choice().reason(),
                device.canReset(), steps, device.regions().stream().map(RegionEntry::new).toList(),
                device.interrupts().stream().map(InterruptEntry::new).toList())));
        out.flush();
    }
}
