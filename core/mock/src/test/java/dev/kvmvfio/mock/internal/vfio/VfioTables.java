package dev.kvmvfio.mock.internal.vfio;

import dev.kvmvfio.mock.internal.system.IoctlTable;

/** Lets tests elsewhere see which ioctls the files of VFIO answer. */
public final class VfioTables {
    public static final IoctlTable<?> DEVICE = DeviceFile.IOCTLS;

    private VfioTables() {
    }
}
