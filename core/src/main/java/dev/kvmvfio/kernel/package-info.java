/**
 * System calls and what they are made on: the seam to the operating system, open files that cannot be mistaken for
 * others, eventfds, memory, and the exceptions for what a kernel refuses.
 *
 * <p>What it needs is Linux on x86-64, aarch64, riscv64 or loongarch64, and native access for the library. Examples have
 * the imports of the {@linkplain dev.kvmvfio module's page}.
 *
 * <p>{@link dev.kvmvfio.kernel.Kernel} is the seam, and everything above it takes one:
 * {@link dev.kvmvfio.kernel.Kernel#linux()}, the model in the module {@code dev.kvmvfio.mock}, or one of a program's
 * own. Its calls answer as the kernel does, with a result or a negative errno.
 * {@link dev.kvmvfio.kernel.ObservedKernel} shows each call, decoded. An ioctl that this library does not wrap is made
 * on the file itself:
 *
 * {@snippet lang=java :
 * Kernel watched = ObservedKernel.observe(Kernel.linux(), System.err::println);
 * try (Kvm kvm = Kvm.open(watched)) {
 *     Ioctl mmapSize = new Ioctl("KVM_GET_VCPU_MMAP_SIZE", 0xae04);
 *     System.out.println(kvm.fd().call(mmapSize, 0) + " bytes");
 * }
 * }
 *
 * <p>A {@link dev.kvmvfio.kernel.Handle} is given back by its close, in any order: what needs it is closed with it. A
 * refused call is a {@link dev.kvmvfio.kernel.KernelException} with the call, the file, the errno and, where the cause is
 * known, a {@linkplain dev.kvmvfio.kernel.KvmVfioException#remedy() remedy}; a host that cannot work is a
 * {@link dev.kvmvfio.kernel.HostException}. {@link dev.kvmvfio.kernel.HostMemory} is memory that guests and devices use;
 * closing it takes it from them first:
 *
 * {@snippet lang=java :
 * try (HostMemory ram = HostMemory.request(Kernel.linux(), 1L << 30)
 *         .hugePages(HugePages.SIZE_2M).prefault().allocate()) {
 *     ram.segment().set(java.lang.foreign.ValueLayout.JAVA_BYTE, 0, (byte) 0xf4);
 * }
 * }
 *
 * <p>JDK Flight Recorder has two events of this library: {@code kvmvfio.Ioctl}, an ioctl with its file, its result and how
 * long it took, and {@code kvmvfio.VcpuExit}, a run of a vCPU with the reason of its end. They are off until a recording
 * switches them on, and cost nothing that can be measured until then:
 *
 * <pre>
 * java -XX:StartFlightRecording:+kvmvfio.Ioctl#enabled=true,+kvmvfio.VcpuExit#enabled=true,filename=calls.jfr …
 * jfr print --events 'kvmvfio.*' calls.jfr
 * </pre>
 */
@NullMarked
package dev.kvmvfio.kernel;

import org.jspecify.annotations.NullMarked;
