package dev.kvmvfio.it.guest;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvmvfio.it.guest.GuestReports.Report;
import dev.kvmvfio.it.kvm.HeldFiles;
import dev.kvmvfio.it.lab.LabMachine;
import dev.kvmvfio.kernel.GuestException;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.passthrough.VfioInterface;
import dev.kvmvfio.pci.PciAddress;
import dev.kvmvfio.vmm.Machine;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** A guest without an operating system has a device of the machine. */
@Tag("in-lab")
public class LabEduGuestTest {
    private static final String INTERFACES = "dev.kvmvfio.it.lab.LabMachine#interfaces";
    private static final long MEMORY = 4 << 20;
    private static final int SLOT = 3;
    private static final int NOTHING = -1;
    private static final int FINDINGS = EduGuest.FINDINGS + EduGuest.USES * EduGuest.FINDINGS_OF_USE
            + EduGuest.FINDINGS_OF_MOVE;
    private static final PciAddress EDU = PciAddress.parse(LabMachine.EDU);

    @AfterEach
    void nothingIsLeft() {
        assertThat(HeldFiles.now()).isEmpty();
    }

    @ParameterizedTest
    @MethodSource(INTERFACES)
    void aGuestUsesItsDeviceWithoutAnExit(VfioInterface by) {
        try (Machine machine = new Machine(Kernel.linux(), MEMORY)) {
            machine.attach(EDU, by, SLOT);
            new EduGuest().load(machine);
            MemorySegment source = fill(machine);
            Iterator<Report> reports = new GuestReports(machine, FINDINGS).run().iterator();
            assertThat(values(reports, EduGuest.FINDINGS)).containsExactly(EduGuest.configAddress(SLOT),
                    EduGuest.BAR_SIZE_ANSWER, Machine.lineOf(SLOT));
            assertUsed(reports);
            assertUsed(reports);
            assertThat(values(reports, EduGuest.FINDINGS_OF_MOVE)).containsExactly(NOTHING);
            assertUsed(reports);
            for (int use = 0; use < EduGuest.USES; use++) {
                long destination = EduGuest.DESTINATIONS + (long) use * EduGuest.PAGE;
                assertThat(machine.ram().segment().asSlice(destination, EduGuest.PAGE).mismatch(source)).isEqualTo(-1);
            }
        }
    }

    @ParameterizedTest
    @MethodSource(INTERFACES)
    void aGuestThatCrashesGivesItsDeviceBack(VfioInterface by) {
        for (int i = 0; i < 2; i++) {
            try (Machine machine = new Machine(Kernel.linux(), MEMORY)) {
                machine.attach(EDU, by, SLOT);
                BareGuest.load(machine, BareGuest.newProgram().ud2());
                assertThatThrownBy(machine::run).isInstanceOf(GuestException.class)
                        .hasMessageContaining("triple fault");
            }
        }
    }

    private static MemorySegment fill(Machine machine) {
        MemorySegment source = machine.ram().segment().asSlice(EduGuest.SOURCE, EduGuest.PAGE);
        for (int i = 0; i < EduGuest.PAGE; i++) {
            source.set(ValueLayout.JAVA_BYTE, i, (byte) (7 * i + 1));
        }
        return source;
    }

    private static List<Integer> values(Iterator<Report> reports, int count) {
        return Stream.generate(reports::next).limit(count).map(Report::value).toList();
    }

    /** The exit between the first report and the second is the second report itself. */
    private static void assertUsed(Iterator<Report> reports) {
        Report begin = reports.next();
        Report end = reports.next();
        assertThat(begin.value()).isEqualTo(EduGuest.BEGIN);
        assertThat(end.value()).isEqualTo(EduGuest.END);
        assertThat(values(reports, EduGuest.FINDINGS_OF_USE - 2)).containsExactly(EduGuest.IDENTITY,
                ~EduGuest.LIVENESS, EduGuest.INTERRUPTS, 0);
        Map<String, Integer> exits = new HashMap<>(end.exits());
        begin.exits().forEach((kind, count) -> exits.merge(kind, -count, Integer::sum));
        exits.values().removeIf(count -> count == 0);
        assertThat(exits).isEqualTo(Map.of("PortWrite", 1));
    }
}
