/* The loops that scripts/bench compares this library with. */
#include <errno.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>

/* Runs a vCPU for so many exits and answers each; what the guest wrote is added up. */
long run_vcpu(int vcpu, struct kvm_run *run, long exits)
{
    long sum = 0;

    for (long i = 0; i < exits; i++) {
        if (ioctl(vcpu, KVM_RUN, 0) < 0)
            return -errno;
        switch (run->exit_reason) {
        case KVM_EXIT_IO: {
            uint8_t *data = (uint8_t *)run + run->io.data_offset;

            if (run->io.direction == KVM_EXIT_IO_OUT)
                sum += *data;
            else
                *data = 1;
            break;
        }
        case KVM_EXIT_MMIO:
            if (run->mmio.is_write) {
                uint32_t value;

                memcpy(&value, run->mmio.data, sizeof(value));
                sum += value;
            } else {
                memset(run->mmio.data, 0, sizeof(run->mmio.data));
            }
            break;
        case KVM_EXIT_HLT:
            sum++;
            break;
        default:
            return -1000 - (long)run->exit_reason;
        }
    }
    return sum;
}

/* Makes a call that opens nothing so many times, and adds up what it answers. */
long call(int fd, unsigned long request, unsigned long argument, long calls)
{
    long sum = 0;

    for (long i = 0; i < calls; i++) {
        int result = ioctl(fd, request, argument);

        if (result < 0)
            return -errno;
        sum += result;
    }
    return sum;
}
