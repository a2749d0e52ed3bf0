package dev.kvmvfio.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
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
    void bindAndUnbindTellTheDriverBefore() throws IOException {
        assertThat(run("bind --mock 0000:6c:00.1")).isZero();
        assertThat(out.toString()).isEqualTo("0000:6c:00.1: vfio-pci, before nvme\n");
        assertThat(run("bind --mock 0000:6a:01.0")).isZero();
        assertThat(out.toString()).isEqualTo("0000:6a:01.0: vfio-pci, before vfio-pci\n");
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
    @CsvSource({"bind --mock,ADDRESS is missing", "bind --mock /etc,is no PCI address",
        "unbind --mock --force 0000:6a:01.0,--force", "list --moc,--moc", "doctor --mock --memory 0,at least 1 MiB",
        "doctor --mock --memory much,much", "list --mock 0000:6a:01.0,there is no place for 0000:6a:01.0",
        "completion fish,fish", "completion,bash|zsh is missing"})
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
        JsonObject bound = json("bind --mock --json 0000:6c:00.1");
        assertThat(bound.get("driver").getAsString()).isEqualTo("vfio-pci");
        assertThat(bound.get("previousDriver").getAsString()).isEqualTo("nvme");
    }

    @Test
    void theShellCompletesCommandsAndOptions(@TempDir Path folder) throws Exception {
        assertThat(run("completion bash")).isZero();
        Path script = Files.writeString(folder.resolve("completion"), out.toString());
        assertThat(completed(script, "kvm-vfio b")).isEqualTo("bind");
        assertThat(completed(script, "kvm-vfio list --j")).isEqualTo("--json");
        assertThat(completed(script, "kvm-vfio attach --interface c")).isEqualTo("cdev");
        assertThat(completed(script, "kvm-vfio --v")).isEqualTo("--version");
    }

    private static String completed(Path script, String line) throws Exception {
        String words = line.replace(" ", "' '");
        int last = line.split(" ").length - 1;
        Process bash = new ProcessBuilder("bash", "-c", "source " + script + "; COMP_WORDS=('" + words
                + "'); COMP_CWORD=" + last + "; COMP_LINE='" + line
                + "'; COMP_POINT=" + line.length() + "; _kvm_vfio; echo \"${COMPREPLY[*]}\"").redirectErrorStream(true)
                .start();
        try (var output = bash.inputReader()) {
            return String.join("\n", output.lines().toList());
        }
    }
}
