package dev.kvmvfio.junit;

import dev.kvmvfio.kvm.Kvm;
import org.junit.jupiter.api.extension.ConditionEvaluationResult;
import org.junit.jupiter.api.extension.ExecutionCondition;
import org.junit.jupiter.api.extension.ExtensionContext;

/** Whether there is KVM. */
final class KvmCondition implements ExecutionCondition {
    @Override
    public ConditionEvaluationResult evaluateExecutionCondition(ExtensionContext context) {
        return Requirement.evaluate(context, "KVM", Kvm.unavailabilityCause().map(RuntimeException::getMessage));
    }
}
