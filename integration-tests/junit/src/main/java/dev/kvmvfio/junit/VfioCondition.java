package dev.kvmvfio.junit;

import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.KvmVfioException;
import dev.kvmvfio.passthrough.Finding;
import dev.kvmvfio.passthrough.HostCheck;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.extension.ConditionEvaluationResult;
import org.junit.jupiter.api.extension.ExecutionCondition;
import org.junit.jupiter.api.extension.ExtensionContext;

/** Whether there is a device of VFIO that can be attached. */
final class VfioCondition implements ExecutionCondition {
    /** Each builds on those before it, so that the first one which fails is the cause. */
    private static final List<String> CHECKS = List.of("iommu", "interrupt-remapping", "modules", "container",
            "iommufd",
            "devices");

    @Override
    public ConditionEvaluationResult evaluateExecutionCondition(ExtensionContext context) {
        return Requirement.evaluate(context, "VFIO", cause());
    }

    private static Optional<String> cause() {
        try {
            return HostCheck.run(Kernel.linux(), 0, CHECKS).stream()
                    .filter(finding -> finding.level() == Finding.Level.FAILS).findFirst().map(Finding::toString);
        } catch (UnsupportedOperationException | IllegalCallerException | KvmVfioException noLinux) {
            return Optional.of(noLinux.toString());
        }
    }
}
