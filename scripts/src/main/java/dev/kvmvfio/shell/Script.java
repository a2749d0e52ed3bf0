package dev.kvmvfio.shell;

import dev.kvmvfio.cli.Visible;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import jdk.jshell.DeclarationSnippet;
import jdk.jshell.Diag;
import jdk.jshell.EvalException;
import jdk.jshell.JShell;
import jdk.jshell.JShellException;
import jdk.jshell.Snippet;
import jdk.jshell.SnippetEvent;
import jdk.jshell.SourceCodeAnalysis.CompletionInfo;
import jdk.jshell.UnresolvedReferenceException;

/** Runs a file of snippets without a terminal; the first one that fails ends it. */
final class Script implements AutoCloseable {
    private static final int FAILED = 1;

    private final PrintStream err;
    private final JShell shell;

    private static final Path STANDARD_INPUT = Path.of("-");
    private static final Pattern COMMAND = Pattern.compile("\\s*/([a-z]+)(?: +(\\d{1,3}))?\\s*");
    /** A line that no statement begins with. */
    private static final Pattern GOES_ON = Pattern.compile("^([.?:]|&&|\\|\\||(else|catch|finally)\\b)");

    /** The script said so. */
    private static final class Ended extends Exception {
        private static final long serialVersionUID = 1;

        private final int code;

        Ended(int code) {
            this.code = code;
        }
    }

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

    /** Returns the exit code; a hyphen stands for standard input. */
    int run(Path imports, Path script) {
        try {
            run(imports, read(imports));
            run(script, read(script));
            return 0;
        } catch (Ended ended) {
            return ended.code;
        } catch (Failed failure) {
            err.println(Visible.of(failure.getMessage()));
        }
        return FAILED;
    }

    private static List<String> read(Path file) throws Failed {
        try {
            byte[] text = file.equals(STANDARD_INPUT) ? System.in.readAllBytes() : Files.readAllBytes(file);
            return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(text)).toString().lines().toList();
        } catch (CharacterCodingException unreadable) {
            throw new Failed("shell: cannot read " + file + ": it is no text in UTF-8");
        } catch (IOException unreadable) {
            throw new Failed("shell: cannot read " + file + (Files.isDirectory(file) ? ": it is a folder" : ""));
        }
    }

    /** Line by line, as at the prompt: a line that can end a snippet ends it, unless the next one goes on with it. */
    private void run(Path file, List<String> lines) throws Failed, Ended {
        String unit = "";
        String where = "";
        for (int i = 0; i < lines.size(); i++) {
            String line = lines.get(i);
            if (i == 0 && line.startsWith("#!")) {
                continue;
            }
            if (unit.isBlank()) {
                where = file + ":" + (i + 1);
                requireNoExit(line, where);
            }
            unit += line + "\n";
            if (!goesOn(lines, i + 1)) {
                unit = evaluate(unit, where);
            }
        }
        if (!unit.isBlank()) {
            throw new Failed(where + ": ends in the middle of a statement");
        }
    }

    private static void requireNoExit(String line, String where) throws Ended, Failed {
        Matcher command = COMMAND.matcher(line);
        if (command.matches()) {
            if (!"exit".equals(command.group(1))) {
                throw new Failed(where + ": /exit is the only command in a script, not /" + command.group(1));
            }
            throw new Ended(command.group(2) == null ? 0 : Integer.parseInt(command.group(2)));
        }
    }

    private static boolean goesOn(List<String> lines, int next) {
        return lines.stream().skip(next).map(String::strip).filter(line -> !line.isEmpty() && !line.startsWith("//"))
                .findFirst().filter(GOES_ON.asPredicate()).isPresent();
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
                    + (thrown instanceof UnresolvedReferenceException missing
                            ? missing(missing.getSnippet())
                            : thrown.getMessage()));
        }
    }

    private String missing(DeclarationSnippet snippet) {
        return "there is no " + shell.unresolvedDependencies(snippet).collect(Collectors.joining(", ")) + ", which "
                + snippet.name() + " needs";
    }

    @Override
    public void close() {
        shell.close();
    }
}
