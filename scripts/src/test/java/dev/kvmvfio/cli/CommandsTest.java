package dev.kvmvfio.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.mock.model.KernelProfile;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.TreeMap;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The commands on the mock: what they print, what they exit with, and what their JSON looks like. */
class CommandsTest extends CommandLineTest {
    private static final int PICTURE_COLUMNS = 118;
    private static final Pattern PICTURE_LINE = Pattern.compile("<text[^>]*>([^<]*)</text>");

    private int run(String line) throws IOException {
        out.getBuffer().setLength(0);
        return run(line.split(" "));
    }

    private JsonObject json(String line) throws IOException {
        assertThat(run(line)).isZero();
        return JsonParser.parseString(out.toString()).getAsJsonObject();
    }

    @Test
    void listIsATable() throws IOException {
        assertThat(run("list --mock")).isZero();
        assertThat(out.toString().lines()).hasSize(7).allSatisfy(line -> assertThat(line).isEqualTo(line.strip()))
                .contains("0000:6a:01.0  8086:10d3  vfio-pci  26     vfio0  yes"
                        + "                                    Intel Corporation 82574L Gigabit Network Connection")
                .anySatisfy(line -> assertThat(line).startsWith("0000:6c:00.0").contains("28     vfio3",
                        "no: its group has 0000:6c:00.1 (nvme)"))
                .anySatisfy(line -> assertThat(line).startsWith("0000:6d:00.0  1912:0014  -         29     -      no: "
                        + "not bound to vfio-pci"));
    }

    @Test
    void doctorNamesWhatMends() throws IOException {
        assertThat(run("doctor --mock")).isZero();
        assertThat(out.toString()).contains("OK       kvm                  /dev/kvm can be opened, API version 12")
                .contains("warning  device               0000:6c:00.0 cannot be attached")
                .contains("> kvm-vfio bind 0000:6c:00.1");
    }

    @Test
    void doctorChecksWhatIsNamed() throws IOException {
        assertThat(run("doctor --mock memlock kvm")).isZero();
        assertThat(out.toString().lines()).hasSize(2).first().asString().startsWith("OK       kvm ");
        assertThat(json("doctor --mock --json kvm").getAsJsonArray("findings")).hasSize(1);
    }

    @Test
    void bindAndUnbindTellTheDriverBefore() throws IOException {
        assertThat(run("bind --mock 0000:6c:00.1")).isZero();
        assertThat(out.toString()).isEqualTo("0000:6c:00.1: vfio-pci, before nvme\n");
        assertThat(run("bind --mock 0000:6a:01.0")).isZero();
        assertThat(out.toString()).isEqualTo("0000:6a:01.0: vfio-pci already\n");
        assertThat(run("unbind --mock 0000:6a:01.0")).isZero();
        assertThat(out.toString()).isEqualTo("0000:6a:01.0: no driver, before vfio-pci\n");
    }

    @ParameterizedTest
    @CsvSource({"unbind --mock 0000:6c:00.1,'is bound to the driver nvme, not to vfio-pci'",
        "unbind --mock 0000:6d:00.0,'is bound to no driver, not to vfio-pci'",
        "bind --mock 0000:6f:00.0,there is no PCI device at 0000:6f:00.0"})
    void aRefusalIsOneLine(String line, String message) throws IOException {
        assertThat(run(line)).isEqualTo(1);
        assertThat(err.toString().lines()).singleElement().asString().startsWith("kvm-vfio: ").contains(message);
        assertThat(out.toString()).isEmpty();
    }

    @ParameterizedTest
    @CsvSource({"bind --mock,DEVICE is missing", "bind --mock /etc,is no PCI address",
        "bind --mock eth7,leads to no PCI device",
        "bind --mock --driver ../../tmp/evil 0000:6a:01.0,is the name of a driver",
        "list --mock --class netwrok,did you mean network?",
        "lst,there is no command lst; did you mean list?", "list --moc,did you mean --mock?",
        "list --moc,kvm-vfio list --help tells more", "doctor --mock --memory 99999999999,at most 64 TiB",
        "unbind --mock --force 0000:6a:01.0,--force", "doctor --mock --memory 0,at least 1 MiB",
        "doctor --mock --memory much,much", "completion bash zsh,takes no further word: zsh",
        "doctor --mock kvn,there is no check kvn; did you mean kvm?",
        "completion tcsh,tcsh", "completion,bash|zsh|fish is missing"})
    void wrongUsageIsTold(String line, String message) throws IOException {
        assertThat(run(line)).isEqualTo(2);
        assertThat(err.toString().lines()).singleElement().asString().startsWith("kvm-vfio: ").contains(message);
        assertThat(out.toString()).isEmpty();
    }

    static Stream<String> commands() {
        return KvmVfioCommand.commands().stream().map(Command::name);
    }

    @ParameterizedTest
    @MethodSource("commands")
    void everyCommandHasHelp(String command) throws IOException {
        assertThat(run("--help")).isZero();
        assertThat(out.toString()).contains("\n  " + command + "  ");
        assertThat(run(command + " --help")).isZero();
        assertThat(out.toString()).startsWith("Usage: kvm-vfio " + command).contains("-h,--help");
    }

    @Test
    void theProgramHasAVersion() throws IOException {
        assertThat(run("--version")).isZero();
        assertThat(out.toString()).isEqualTo("kvm-vfio 0.1.0\n");
    }

    /** {@code scripts/pictures} draws them anew. */
    @ParameterizedTest
    @ValueSource(strings = {"list --mock", "attach --mock 0000:6a:01.0"})
    void thePicturesShowWhatIsPrinted(String line) throws IOException {
        assertThat(run(line)).isZero();
        List<String> printed = out.toString().lines().filter(text -> !text.isEmpty())
                .map(text -> text.substring(0, Math.min(text.length(), PICTURE_COLUMNS)).stripTrailing()).toList();
        String picture = Files.readString(Path.of("pictures.d", line.split(" ")[0] + ".svg"));
        assertThat(PICTURE_LINE.matcher(picture).results().skip(1)
                .map(text -> text.group(1).replace('\u00a0', ' ').replace("&#45;", "-").stripTrailing()))
                .containsExactlyElementsOf(printed);
    }

    /** What other programs rely on: members may be added, but none may go or change. */
    @ParameterizedTest
    @ValueSource(strings = {"list --mock --json", "doctor --mock --json", "bind --mock --json 0000:6c:00.1",
        "unbind --mock --json 0000:6a:01.0", "attach --mock --json 0000:6a:01.0"})
    void theFormOfTheJsonIsPinned(String line) throws IOException {
        Map<String, String> form = new TreeMap<>();
        addForm("", json(line), form);
        String name = "json/" + line.split(" ")[0] + ".txt";
        try (InputStream pinned = getClass().getResourceAsStream("/" + name)) {
            String expected = new String(pinned.readAllBytes(), StandardCharsets.UTF_8);
            StringBuilder found = new StringBuilder();
            form.forEach((member, type) -> found.append(member).append(' ').append(type).append('\n'));
            assertThat(found).hasToString(expected);
        }
        run(line.split(" ")[0] + " --help");
        assertThat(out.toString().split("JSON: ")[1].split("\\W+")).as("what the help says of it")
                .contains(form.keySet().stream().map(member -> member.replaceAll(".*[.]|\\[]", ""))
                        .toArray(String[]::new));
    }

    private static void addForm(String path, JsonElement element, Map<String, String> form) {
        if (element instanceof JsonObject object) {
            object.entrySet().forEach(
                    member -> addForm((path.isEmpty() ? "" : path + ".") + member.getKey(), member.getValue(), form));
        } else if (element instanceof JsonArray array) {
            form.putIfAbsent(path, "array");
            array.forEach(entry -> addForm(path + "[]", entry, form));
        } else if (element.isJsonNull()) {
            form.putIfAbsent(path, "null");
        } else {
            String type = element.getAsJsonPrimitive().isNumber()
                    ? "number"
                    : element.getAsJsonPrimitive().isBoolean() ? "boolean" : "text";
            form.merge(path, type, (before, now) -> before.equals("null") ? now : before);
        }
    }

    @Test
    void jsonSaysWhatTheLinesSay() throws IOException {
        JsonObject blocked = json("list --mock --json").getAsJsonArray("devices").get(3).getAsJsonObject();
        assertThat(blocked.get("attachable").getAsBoolean()).isFalse();
        assertThat(blocked.getAsJsonObject("obstacle").get("remedy").getAsString())
                .isEqualTo("kvm-vfio bind 0000:6c:00.1");
        JsonObject doctor = json("doctor --mock --json --memory 1");
        assertThat(doctor.get("level").getAsString()).isEqualTo("warning");
        JsonObject bound = json("bind --mock --json 0000:6c:00.1").getAsJsonArray("devices").get(0).getAsJsonObject();
        assertThat(bound.get("driver").getAsString()).isEqualTo("vfio-pci");
        assertThat(bound.get("previousDriver").getAsString()).isEqualTo("nvme");
    }

    @Test
    void aFailureIsADocumentToo() throws IOException {
        assertThat(run("bind --mock --json 0000:6f:00.0")).isEqualTo(1);
        JsonObject error = JsonParser.parseString(out.toString()).getAsJsonObject().getAsJsonObject("error");
        assertThat(error.get("message").getAsString()).contains("there is no PCI device at 0000:6f:00.0");
        assertThat(error.get("remedy").getAsString()).contains("kvm-vfio list");
        assertThat(run("bind --json --moc")).isEqualTo(2);
        assertThat(JsonParser.parseString(out.toString()).getAsJsonObject().has("error")).isTrue();
    }

    /** Each way in which people name a device. */
    @ParameterizedTest
    @ValueSource(strings = {"0000:6a:01.0", "6A:01.0", "pci_0000_6a_01_0", "pci-0000:6a:01.0", "vfio0",
        "/dev/vfio/devices/vfio0", "/dev/vfio/26", "/sys/bus/pci/devices/0000:6a:01.0",
        "/sys/devices/pci0000:00/0000:00:01.0/0000:6a:01.0/", "/sys/bus/pci/devices/0000:6a:01.0/driver_override"})
    void aDeviceHasManyNames(String name) throws IOException {
        assertThat(run("list --mock " + name)).isZero();
        assertThat(out.toString().lines().skip(1)).singleElement().asString().startsWith("0000:6a:01.0");
    }

    /** What the kernel calls a part of the device. */
    @ParameterizedTest
    @CsvSource({"nvme0n1,0000:6c:00.1", "/dev/nvme0n1,0000:6c:00.1", "eth1,0000:6a:01.0",
        "/sys/class/net/eth1,0000:6a:01.0", "/sys/class/net/eth1/device,0000:6a:01.0"})
    void aDeviceIsNamedByWhatTheHostUsesItFor(String name, String address) {
        try (MockKernel host = MockKernel.host(KernelProfile.V6_12)
                .device("0000:6a:01.0", d -> d.group(26).driver("e1000e").networkLink("eth1"))
                .device("0000:6c:00.1", d -> d.group(28).driver("nvme").disk("nvme0n1")).start()) {
            assertThat(DeviceNames.findOne(host, name)).hasToString(address);
            assertThatThrownBy(() -> DeviceNames.findOne(host, name.replace("1", "7")))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("leads to no PCI device");
        }
    }

    @ParameterizedTest
    @CsvSource({"--class network,0000:6a:01.0", "--class 0108,0000:6c:00.1", "--vendor 0x1912,0000:6d:00.0",
        "--vendor samsung,0000:6c:00.1", "--driver nvme,0000:6c:00.1", "--driver -,0000:6d:00.0"})
    void aListIsFiltered(String filter, String address) throws IOException {
        assertThat(run("list --mock " + filter)).isZero();
        assertThat(out.toString().lines().skip(1)).singleElement().asString().startsWith(address);
    }

    @Test
    void groupsAreATree() throws IOException {
        assertThat(run("list --mock --groups")).isZero();
        assertThat(out.toString().lines()).hasSize(10).containsSubsequence("IOMMU group 27", "IOMMU group 28")
                .anyMatch(line -> line.startsWith("├─ 0000:6b:00.0  1234:11e8"))
                .anyMatch(line -> line.startsWith("└─ 0000:6b:00.1"));
    }

    @Test
    void severalAreBoundAtOnceAndAWholeGroup() throws IOException {
        assertThat(run("bind --mock 6c:00.1 6d:00.0")).isZero();
        assertThat(out.toString())
                .isEqualTo("0000:6c:00.1: vfio-pci, before nvme\n0000:6d:00.0: vfio-pci, before no driver\n");
        assertThat(run("bind --mock --group 6c:00.0")).isZero();
        assertThat(out.toString()).isEqualTo("0000:6c:00.0: vfio-pci already\n0000:6c:00.1: vfio-pci, before nvme\n");
        assertThat(run("unbind --mock --group 6c:00.0")).isZero();
        assertThat(out.toString()).isEqualTo("0000:6c:00.0: no driver, before vfio-pci\n");
    }

    @Test
    void aDryRunDoesNothing() throws IOException {
        assertThat(run("bind --mock --dry-run 6c:00.1")).isZero();
        assertThat(out.toString()).isEqualTo("would do: 0000:6c:00.1: vfio-pci, before nvme\n");
        assertThat(err.toString()).isEmpty();
    }

    @Test
    void anotherDriverMustBeThere() throws IOException {
        assertThat(run("bind --mock --driver mlx5_vfio_pci 6c:00.1")).isEqualTo(1);
        assertThat(err.toString()).contains("the driver mlx5_vfio_pci for 0000:6c:00.1 is not loaded");
    }

    @ParameterizedTest
    @CsvSource({"512,536870912", "1G,1073741824", "1.5g,1610612736", "64MiB,67108864", "2048 KB,2097152"})
    void sizesHaveUnits(String text, long bytes) throws Exception {
        assertThat(Size.parse("memory", text)).isEqualTo(bytes);
    }

    /** Each line that the documents tell people to type, on the mock. */
    @ParameterizedTest
    @ValueSource(strings = {"README.md", "SECURITY.md", "CONTRIBUTING.md"})
    void whatTheDocumentsTellToTypeIsUnderstood(String document) throws IOException {
        String text = Files.readString(Path.of("..", document));
        List<String> lines = Pattern.compile("(?m)(?:^    |[`(])scripts/kvm-vfio ([a-z][^`\\n|)]*)").matcher(text)
                .results()
                .map(line -> line.group(1).strip()).toList();
        assertThat(lines.size()).isGreaterThanOrEqualTo(document.equals("README.md") ? 7 : 0);
        for (String line : lines) {
            boolean onAHost = line.matches("(list|doctor|bind|attach) ?.*") && !line.contains("--mock");
            assertThat(run(line.replaceFirst(" |$", onAHost ? " --mock " : " ").strip())).as(line + err).isZero();
        }
    }

    @Test
    void helpIsACommandToo() throws IOException {
        assertThat(run("help bind")).isZero();
        String help = out.toString();
        assertThat(run("bind --help")).isZero();
        assertThat(out).hasToString(help);
    }

    /** What people are told to type is ours, and refuses what is in use. */
    @Test
    void noAdviceTakesADeviceWithoutAsking() throws IOException {
        assertThat(run("attach --mock 0000:6c:00.1")).isEqualTo(1);
        assertThat(err.toString()).contains("kvm-vfio bind 0000:6c:00.1").doesNotContain("echo", "unbind", "modprobe");
    }

    @Test
    void aTerminalHasColumnsAndColours() throws IOException {
        assertThat(KvmVfioCommand.run(List.of("list", "--mock"), Output.to(out, 80), Output.to(err))).isZero();
        assertThat(out.toString().lines()).hasSize(7)
                .allSatisfy(line -> assertThat(line.replaceAll("\u001b\\[\\d*m", ""))
                        .hasSizeLessThanOrEqualTo(80))
                .anyMatch(line -> line.contains("\u001b[32myes\u001b[m"))
                .anyMatch(line -> line.endsWith("…"));
        out.getBuffer().setLength(0);
        assertThat(KvmVfioCommand.run(List.of("doctor", "--mock"), Output.to(out, 80), Output.to(err))).isZero();
        assertThat(out.toString().lines().filter(line -> !line.contains("> "))).allSatisfy(
                line -> assertThat(line.replaceAll("\u001b\\[\\d*m", "")).hasSizeLessThanOrEqualTo(80));
    }

    @Test
    void whatCannotBeWrittenIsAFailure() throws IOException {
        Output full = Output.to(new FileOutputStream("/dev/full"), OptionalInt.empty());
        assertThat(KvmVfioCommand.run(List.of("list", "--mock"), full, Output.to(err))).isEqualTo(1);
        assertThat(err.toString()).isEqualTo("kvm-vfio: the output could not be written\n");
    }

    @Test
    void theManualIsWhatTheHelpSays() throws Exception {
        assertThat(run("manual")).isZero();
        String page = out.toString();
        for (Command command : KvmVfioCommand.commands()) {
            assertThat(page).contains(command.synopsis().replace("-", "\\-").replace("…", "..."));
            command.options().getOptions().forEach(option -> assertThat(page).contains("\\-\\-"
                    + option.getLongOpt().replace("-", "\\-")));
        }
        assertThat(page.lines()).noneMatch(line -> line.matches("[.'](?![A-Z]{1,2}( |$)).*"));
    }
}
