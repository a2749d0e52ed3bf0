package dev.kvmvfio.shell;

import java.io.ByteArrayInputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import jdk.jshell.tool.JavaShellToolBuilder;

/** {@code scripts/shell}: the JDK's JShell with the library at hand, or a script for it. */
public final class Shell {
    private static final int WRONG_USAGE = 2;
    private static final String IMPORTS = System.getProperty("shell.imports");
    private static final String SETTINGS = """
            /set mode kvmvfio concise -quiet
            /set prompt kvmvfio "kvm-vfio> " "     ...> "
            /set truncation kvmvfio 100000
            /set format kvmvfio display ""
            /set format kvmvfio display "{result}" added,modified,replaced-primary-expression,varvalue,assignment,vardecl,varinit
            /set mode kvmvfio -retain
            /set feedback -retain kvmvfio
            /exit
            """;

    private Shell() {
    }

    /**
     * Runs the shell and ends the process.
     *
     * @param arguments {@code [--mock] [SCRIPT [ARGUMENT…]]}
     * @throws Exception when the shell cannot start
     */
    public static void main(String[] arguments) throws Exception {
        List<String> left = List.of(arguments);
        boolean mock = !left.isEmpty() && left.getFirst().equals("--mock");
        if (mock) {
            left = left.subList(1, left.size());
        }
        if (!left.isEmpty() && left.getFirst().length() > 1 && left.getFirst().startsWith("-")) {
            System.err.println("usage: shell [--mock] [SCRIPT [ARGUMENT…]]");
            System.exit(WRONG_USAGE);
        }
        Runtime.getRuntime().addShutdownHook(new Thread(Shell::end));
        if (mock) {
            Prompt.mock();
        }
        if (!left.isEmpty()) {
            Prompt.setArguments(left.subList(1, left.size()));
        }
        int code = left.isEmpty() ? interact() : run(Path.of(left.getFirst()));
        System.exit(close() ? code : 1);
    }

    private static int run(Path script) {
        try (Script runner = new Script(System.err)) {
            return runner.run(Path.of(IMPORTS), script);
        }
    }

    private static int interact() throws Exception {
        Map<String, String> settings = settings();
        settings.keySet().removeIf(key -> key.startsWith(History.KEYS));
        History.load(settings);
        try {
            return JavaShellToolBuilder.builder().persistence(settings).start("--execution", ShellExecution.NAME,
                    "--class-path", System.getProperty("java.class.path"), "--startup", IMPORTS);
        } finally {
            History.save(settings);
        }
    }

    /** A prompt of our own, and results that are not cut off: what JShell would remember of an earlier session. */
    private static Map<String, String> settings() throws Exception {
        Map<String, String> settings = new HashMap<>();
        PrintStream nowhere = new PrintStream(OutputStream.nullOutputStream());
        JavaShellToolBuilder.builder().persistence(settings).out(nowhere).err(nowhere)
                .in(new ByteArrayInputStream(SETTINGS.getBytes(StandardCharsets.UTF_8)), null)
                .start("--no-startup", "--execution", ShellExecution.NAME);
        return settings;
    }

    private static void end() {
        close();
    }

    /** Whether everything could be undone. */
    private static boolean close() {
        try {
            Prompt.close();
            return true;
        } catch (RuntimeException | AssertionError failure) {
            System.err.println(failure.getMessage());
            return false;
        }
    }
}
