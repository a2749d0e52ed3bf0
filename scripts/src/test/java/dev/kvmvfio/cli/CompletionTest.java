package dev.kvmvfio.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The scripts of {@code completion}, in the shells that they are for. */
class CompletionTest extends CommandLineTest {
    @TempDir
    private Path folder;

    private Path script(String shell) throws IOException {
        assertThat(run("completion", shell)).isZero();
        return Files.writeString(folder.resolve("completion"), out.toString());
    }

    private String output(String input, String... command) throws Exception {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        try (var typed = process.outputWriter()) {
            typed.write(input);
        }
        String text = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(process.waitFor(30, TimeUnit.SECONDS)).isTrue();
        return text;
    }

    @ParameterizedTest
    @CsvSource({"kvm-vfio b,bind", "kvm-vfio list --j,--json", "kvm-vfio attach --interface c,cdev",
        "kvm-vfio --v,--version", "kvm-vfio list --class net,network", "kvm-vfio help unb,unbind",
        "kvm-vfio completion f,fish", "kvm-vfio doctor memory kv,kvm", "kvm-vfio attach --mock 0000:6d,6d:00.0"})
    void bash(String line, String word) throws Exception {
        String words = line.replace(" ", "' '").replace(":", "' ':' '");
        String complete = "source " + script("bash") + "; COMP_WORDS=('" + words
                + "'); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMP_LINE='" + line + "'; COMP_POINT=" + line.length()
                + "; _kvm_vfio; echo \"${COMPREPLY[*]}\"";
        assertThat(output("", "bash", "-c", complete)).isEqualTo(word + "\n");
    }

    /** As typed: a word that is the only one comes into the line, and the command prints its words. */
    @Tag("shells")
    @ParameterizedTest
    @CsvSource({"kvm-vfio bi,[bind]", "kvm-vfio list --js,[list --json]",
        "kvm-vfio attach --interface c,[attach --interface cdev]",
        "kvm-vfio --v,[--version]", "kvm-vfio list --class net,[list --class network]",
        "kvm-vfio help unb,[help unbind]",
        "kvm-vfio attach --mock 0000:6d,[attach --mock 0000:6d:00.0]"})
    void zsh(String line, String printed) throws Exception {
        String session = "kvm-vfio() { print -r -- \"[$*]\"; }\nsource " + script("zsh") + "\n" + line + "\t\nexit\n";
        assertThat(output(session, "script", "-qec", "env TERM=dumb zsh -f -i", "/dev/null")).contains(printed)
                .doesNotContain("not found", "unrecognized");
    }

    @Tag("shells")
    @ParameterizedTest
    @CsvSource({"kvm-vfio bi,bind", "kvm-vfio list --js,--json", "kvm-vfio attach --interface c,cdev",
        "kvm-vfio list --class net,network", "kvm-vfio help unb,unbind", "kvm-vfio attach --mock 0000:6d,0000:6d:00.0"})
    void fish(String line, String word) throws Exception {
        assertThat(output("", "fish", "--no-config", "-c", "source " + script("fish") + "; complete -C '" + line + "'")
                .lines().map(found -> found.split("\t")[0])).containsExactly(word);
    }
}
