package dev.kvmvfio.junit;

import java.util.Optional;
import org.junit.jupiter.api.extension.ConditionEvaluationResult;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.extension.ExtensionConfigurationException;

/** What becomes of a test that needs what a machine has not. */
final class Requirement {
    private static final String PROPERTY = "dev.kvmvfio.missing";

    private Requirement() {
    }

    /** JUnit looks for the property in the system's properties too. */
    static ConditionEvaluationResult evaluate(ExtensionContext context, String what, Optional<String> cause) {
        boolean fails = fails(context.getConfigurationParameter(PROPERTY).orElse("skip"));
        if (cause.isEmpty()) {
            return ConditionEvaluationResult.enabled(what + " works here");
        }
        String reason = "no " + what + " here: " + cause.get();
        if (fails) {
            throw new AssertionError(reason);
        }
        return ConditionEvaluationResult.disabled(reason);
    }

    private static boolean fails(String wanted) {
        return switch (wanted) {
            case "skip" -> false;
            case "fail" -> true;
            default -> throw new ExtensionConfigurationException(
                    PROPERTY + " is \"" + wanted + "\", which is neither skip nor fail");
        };
    }
}
