package dev.kvmvfio.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.spi.ToolProvider;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The script that starts the program, and the archive of classes that it keeps beside the jars. */
class LauncherTest {
    private static final Path LAUNCHER = Path.of("kvm-vfio").toAbsolutePath();
    private static final Path SHELL = Path.of("shell").toAbsolutePath();

    @TempDir
    private static Path jars;
    @TempDir
    private Path lib;

    private record Run(int exitCode, String out, String err) {
    }

    @BeforeAll
    static void jars() throws IOException {
        String path = System.getProperty("java.class.path") + File.pathSeparator
                + System.getProperty("jdk.module.path", "");
        for (String entry : path.split(File.pathSeparator)) {
            Path source = Path.of(entry);
            if (Files.isDirectory(source)) {
                String name = source.toString().replace('/', '-') + ".jar";
                ToolProvider.findFirst("jar").orElseThrow().run(System.out, System.err, "--create", "--file",
                        jars.resolve(name).toString(), "-C", entry, ".");
            } else if (!entry.isEmpty()) {
                Files.copy(source, jars.resolve(source.getFileName()));
            }
        }
    }

    @BeforeEach
    void copyJars() throws IOException {
        try (Stream<Path> all = Files.list(jars)) {
            for (Path jar : all.toList()) {
                Files.copy(jar, lib.resolve(jar.getFileName()));
            }
        }
    }

    private Path archive() {
        return lib.resolve("kvm-vfio-mock.jsa");
    }

    @Test
    void theShellRunsAProgramOfOneFile() throws Exception {
        Path program = Files.writeString(lib.resolve("Sum.java"), """
                class Sum {
                    public static void main(String[] numbers) {
                        System.out.println(dev.kvmvfio.kernel.Errno.EBUSY + " " + numbers.length);
                    }
                }
                """);
        Run run = run(new ProcessBuilder(SHELL.toString(), program.toString(), "3", "4"));
        assertThat(run).isEqualTo(new Run(0, "EBUSY 2\n", ""));
    }

    /** This variable's options come after those of the command line. */
    private Run list(String moreOptions) throws Exception {
        ProcessBuilder builder = new ProcessBuilder(LAUNCHER.toString(), "list", "--mock");
        if (!moreOptions.isEmpty()) {
            builder.environment().put("_JAVA_OPTIONS", moreOptions);
        }
        return run(builder);
    }

    private Run run(ProcessBuilder builder) throws Exception {
        builder.environment().put("KVM_VFIO_LIB", lib.toString());
        builder.environment().put("JAVA_HOME", System.getProperty("java.home"));
        Path err = lib.resolve("err");
        Process process = builder.redirectError(err.toFile()).start();
        String out = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        return new Run(process.waitFor(), out, Files.readString(err));
    }

    private void assertLists() throws Exception {
        Run run = list("");
        assertThat(run.err()).isEmpty();
        assertThat(run.out()).startsWith("ADDRESS ").hasLineCount(7);
        assertThat(run.exitCode()).isZero();
    }

    /** Whether the program's own classes came from the archive. */
    private boolean isArchiveUsed() throws Exception {
        Path log = lib.resolve("log");
        list("-Xlog:class+load:file=" + log);
        return Files.readString(log).contains(ListCommand.class.getName() + " source: shared objects file (top)");
    }

    @Test
    void theFirstRunMakesAnArchiveAndTheNextUsesIt() throws Exception {
        assertLists();
        assertThat(archive()).isRegularFile();
        Object made = Files.getLastModifiedTime(archive());
        assertThat(isArchiveUsed()).isTrue();
        assertThat(Files.getLastModifiedTime(archive())).isEqualTo(made);
    }

    @Test
    void anArchiveOfOtherJarsIsMadeAnew() throws Exception {
        assertLists();
        try (Stream<Path> all = Files.list(lib)) {
            Path jar = all.filter(file -> file.toString().contains("commons-cli")).findAny().orElseThrow();
            Files.write(jar, "a comment behind a jar's end".getBytes(StandardCharsets.UTF_8),
                    StandardOpenOption.APPEND);
        }
        assertLists();
        assertThat(isArchiveUsed()).isTrue();
    }

    @Test
    void anArchiveThatIsNoneDoesNoHarm() throws Exception {
        Files.writeString(archive(), "that is none");
        assertLists();
    }

    /** One byte in each part of it. */
    @Test
    void aDamagedArchiveIsNotUsed() throws Exception {
        assertLists();
        byte[] whole = Files.readAllBytes(archive());
        for (int part = 1; part < 4; part++) {
            byte[] damaged = whole.clone();
            damaged[whole.length / 4 * part] ^= 0x55;
            Files.write(archive(), damaged);
            assertLists();
            assertThat(isArchiveUsed()).as("part %d", part).isFalse();
        }
    }

    @Test
    void itRunsWhereNoArchiveCanBeWritten() throws Exception {
        Files.createDirectory(archive());
        assertLists();
        assertThat(archive()).isEmptyDirectory();
    }
}
