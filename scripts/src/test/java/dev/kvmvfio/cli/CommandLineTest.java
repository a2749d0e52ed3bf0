package dev.kvmvfio.cli;

import java.io.IOException;
import java.io.InputStream;
import java.io.StringWriter;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;

/** Runs the program in this process, at the end of its input. */
abstract class CommandLineTest {
    final StringWriter out = new StringWriter();
    final StringWriter err = new StringWriter();
    private final InputStream terminal = System.in;

    @BeforeEach
    void endOfInput() {
        System.setIn(InputStream.nullInputStream());
    }

    @AfterEach
    void terminalAgain() {
        System.setIn(terminal);
    }

    final int run(String... arguments) throws IOException {
        return KvmVfioCommand.run(List.of(arguments), Output.to(out), Output.to(err));
    }
}
