package dev.kvmvfio.cli;

import picocli.AutoComplete;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code kvm-vfio completion}: the script that lets a shell complete this program's words. */
@Command(name = "completion", mixinStandardHelpOptions = true, description = "Prints a script for the completion of commands and options: source <(kvm-vfio completion bash).")
final class CompletionCommand implements Runnable {
    private enum Shell {
        BASH, ZSH
    }

    @Parameters(paramLabel = "bash|zsh", description = "The shell. One script serves both.")
    private Shell shell;

    @Spec
    private CommandSpec spec;

    @Override
    public void run() {
        spec.commandLine().getOut().print(AutoComplete.bash("kvm-vfio", spec.root().commandLine()));
        spec.commandLine().getOut().flush();
    }
}
