package dev.kvmvfio.mock.internal.iommufd;

import dev.kvmvfio.mock.internal.system.IoctlTable;

/** Lets tests elsewhere see which ioctls iommufd answers. */
public final class IommufdTables {
    public static final IoctlTable<?> IOMMUFD = IommufdCommands.IOCTLS;

    private IommufdTables() {
    }
}
