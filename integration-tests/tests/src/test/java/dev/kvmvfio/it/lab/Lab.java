package dev.kvmvfio.it.lab;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicNode;
import org.junit.jupiter.api.DynamicTest;

/** Runs commands and test classes in the lab's machine, which sees the project as /share. */
public final class Lab {
    /** A JVM that has the project and its tests on the class path. */
    public static final String ON_CLASS_PATH = "java -XX:+UseSerialGC --enable-native-access=ALL-UNNAMED -cp "
            + "\"/share/core/mock/target/test-classes:/share/integration-tests/tests/target/test-classes"
            + ":/share/integration-tests/vmm/target/classes:/share/integration-tests/tests/target/lab/lib/*"
            + ":$KVM_VFIO_LIB/*\"";

    /** How scripts/lab ends when the machine did, as in a panic after a fault of QEMU's emulation. */
    private static final int MACHINE_FAILED = 125;

    /** Where the project is. */
    public static final Path ROOT = Path.of(System.getProperty("project.root")).normalize();

    /** How a command ended, and all that it printed. */
    record Run(int exitCode, String text) {
    }

    private Lab() {
    }

    static Run run(List<String> options, String... command) throws IOException, InterruptedException {
        List<String> line = new ArrayList<>(List.of(ROOT.resolve("scripts/lab").toString(), "--yes"));
        line.addAll(List.of("--share", ROOT.toString()));
        line.addAll(options);
        line.add("--");
        line.addAll(Arrays.asList(command));
        Run run = run(line);
        if (run.exitCode() == MACHINE_FAILED) {
            System.out.println("The lab's machine failed, not what runs in it: it is started once more");
            run = run(line);
        }
        return run;
    }

    private static Run run(List<String> line) throws IOException, InterruptedException {
        Process process = new ProcessBuilder(line).redirectErrorStream(true)
                .redirectInput(Path.of("/dev/null").toFile()).start();
        StringBuilder text = new StringBuilder();
        try (BufferedReader output = process.inputReader(StandardCharsets.UTF_8)) {
            output.lines().peek(System.out::println).forEach(read -> text.append(read).append('\n'));
        }
        return new Run(process.waitFor(), text.toString());
    }

    /**
     * Runs in one machine the tests of a tag, with one test here for each one there.
     *
     * @param java the command that starts a JVM with the tests
     * @param names the classes; with # and the name of a method, that alone
     */
    public static Stream<DynamicNode> tests(List<String> options, String java, String tag, List<String> names)
            throws IOException, InterruptedException {
        List<String> all = new ArrayList<>(List.of("--timeout", "1500"));
        all.addAll(options);
        Run run = run(all, "sh", "-c",
                java + " " + TestsInLab.class.getName() + " " + tag + " " + String.join(" ", names));
        Pattern test = Pattern.compile("(?sm)(.*?)^" + TestsInLab.MARK + "(passed|failed) (.*?)$");
        Stream<DynamicNode> each = test.matcher(run.text()).results()
                .map(found -> DynamicTest.dynamicTest(found.group(3),
                        () -> assertThat(found.group(2)).as(found.group(1)).isEqualTo("passed")));
        DynamicNode end = DynamicTest.dynamicTest("all ran", () -> {
            assertThat(run.exitCode()).isZero();
            for (String name : names) {
                assertThat(run.text())
                        .contains(TestsInLab.MARK + "passed " + name.replaceAll(".*\\.|#.*", "") + ".");
            }
        });
        return Stream.concat(each, Stream.of(end));
    }
}
