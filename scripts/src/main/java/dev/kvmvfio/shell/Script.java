package dev.kvmvfio.shell;

import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import jdk.jshell.Diag;
import jdk.jshell.EvalException;
import jdk.jshell.JShell;
import jdk.jshell.JShellException;
import jdk.jshell.Snippet;
import jdk.jshell.SnippetEvent;
import jdk.jshell.SourceCodeAnalysis.CompletionInfo;

/** Runs a file of snippets without a terminal; the first one that fails ends it. */
final class Script implements AutoCloseable {
    private static final int FAILED = 1;

    private final PrintStream err;
    private final JShell shell;

    /** A snippet that does not compile or that throws. */
    private static final class Failed extends Exception {
        private static final long serialVersionUID = 1;

        Failed(String message) {
            super(message);
        }
    }

    Script(PrintStream err) {
        this.err = err;
        this.shell = JShell.builder().executionEngine(new ShellExecution(), Map.of()).build();
        shell.addToClasspath(System.getProperty("java.class.path"));
    }

    /** Returns the exit code. */
    int run(Path imports, Path script) {
        try {
            run(imports, Files.readAllLines(imports));
            run(script, Files.readAllLines(script));
            return 0;
        } catch (IOException unreadable) {
            err.println("shell: cannot read " + unreadable.getMessage());
        } catch (Failed failure) {
            err.println(failure.getMessage());
        }
        return FAILED;
    }

    /** Line by line, as at the prompt: a line that can end a snippet ends it. */
    private void run(Path file, List<String> lines) throws Failed {
        String unit = "";
        String where = "";
        for (int i = 0; i < lines.size(); i++) {
            if (unit.isBlank()) {
                where = file + ":" + (i + 1);
            }
            unit = evaluate(unit + lines.get(i) + "\n", where);
        }
        if (!unit.isBlank()) {
            throw new Failed(where + ": ends in the middle of a statement");
        }
    }

    /** Runs what is complete, and returns the rest. */
    private String evaluate(String text, String where) throws Failed {
        String left = text;
        while (!left.isBlank()) {
            CompletionInfo next = shell.sourceCodeAnalysis().analyzeCompletion(left);
            switch (next.completeness()) {
                case EMPTY -> {
                    return "";
                }
                case DEFINITELY_INCOMPLETE, CONSIDERED_INCOMPLETE -> {
                    return left;
                }
                default -> {
                    for (SnippetEvent event : shell.eval(next.source())) {
                        check(event, where);
                    }
                    left = next.remaining();
                }
            }
        }
        return "";
    }

    private void check(SnippetEvent event, String where) throws Failed {
        if (event.status() == Snippet.Status.REJECTED) {
            List<String> errors = shell.diagnostics(event.snippet()).filter(Diag::isError)
                    .map(error -> error.getMessage(Locale.ENGLISH).lines().map(String::strip)
                            .collect(Collectors.joining(", ")))
                    .toList();
            throw new Failed(where + ": " + String.join("; ", errors));
        }
        JShellException thrown = event.exception();
        if (thrown != null) {
            throw new Failed(where + ": "
                    + (thrown instanceof EvalException failure ? failure.getExceptionClassName() + ": " : "")
                    + thrown.getMessage());
        }
    }

    @Override
    public void close() {
        shell.close();
    }
}
