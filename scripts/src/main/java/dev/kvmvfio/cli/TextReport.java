package dev.kvmvfio.cli;

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
import java.util.stream.Collectors;

/** Lines for people. */
final class TextReport implements Report {
    private final Output out;

    TextReport(Output out) {
        this.out = out;
    }

    @Override
    public void chosen(PciAddress address, InterfaceChoice choice) {
        line("Attaching %s by %s", address, choice);
        line("");
    }

    @Override
    public void step(Step step) {
        line("%s %-30s %-34s %s", step.isUndo() ? "-" : "+", step.call(), step.file(), step.result());
    }

    @Override
    public void attached(PciAddress address, AttachedDevice attached) {
        VfioDevice device = attached.device();
        line("");
        line("%s is %04x:%04x%s", address, device.vendorId(), device.deviceId(),
                device.canReset() ? ", can be reset" : "");
        device.regions().stream().filter(region -> region.size() > 0).forEach(this::region);
        device.interrupts().stream().filter(interrupt -> interrupt.count() > 0).forEach(this::interrupt);
        line("");
        line("Press Enter to detach.");
        line("");
    }

    private void region(Region region) {
        boolean partly = region.isMappable()
                && !region.mappableAreas().equals(List.of(new Region.Area(0, region.size())));
        line("  %-13s %9s  %s%s", region.name(), size(region.size()), String.join(" ", region.access()),
                partly
                        ? " of " + region.mappableAreas().stream().map(Region.Area::toString)
                                .collect(Collectors.joining(", "))
                        : "");
    }

    private void interrupt(Interrupt interrupt) {
        List<String> words = new ArrayList<>();
        if (interrupt.isMaskable()) {
            words.add("maskable");
        }
        if (interrupt.isAutomasked()) {
            words.add("automasked");
        }
        line("  %-13s %9s  %s", interrupt.name(),
                interrupt.count() == 1 ? "1 vector" : interrupt.count() + " vectors", String.join(" ", words));
    }

    private static String size(long bytes) {
        if (bytes >= 1 << 20 && bytes % (1 << 20) == 0) {
            return (bytes >> 20) + " MiB";
        }
        return bytes >= 1 << 10 && bytes % (1 << 10) == 0 ? (bytes >> 10) + " KiB" : bytes + " B";
    }

    private void line(String format, Object... values) {
        out.line(String.format(Locale.ROOT, format, values));
    }
}
