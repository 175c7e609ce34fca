import FileAccess
import Identifiers
import SystemPackage

/// Reads a run's directory at the start of a coordinator.
enum RunScan {
    /// The run in a directory; nil when nothing of it is left.
    ///
    /// Bytes without a record, records without bytes, bytes beside a whole part, and collected sums without their name
    /// are removed: a crash left them.
    ///
    /// - Throws: `FileError` when the directory cannot be listed.
    static func read(_ directory: FilePath) throws(FileError) -> StoredRun? {
        _ = try? WholeFile.removeStalePartials(in: directory)
        let changed = FileStatus(of: directory)?.contentChangedAt ?? 0
        var run = StoredRun(directory: directory, beganAt: .infinity, lastActivity: changed)
        let names = try WholeFile.names(in: directory)
        let files = names.compactMap(PartFileName.init)
        for name in names where name.hasSuffix(StreamedFile.suffix) {
            try? Directories.remove(directory.appending(name))
        }
        for file in files where file.kind == .whole && run.parts[file.place] == nil { add(file, to: &run) }
        for file in files where file.kind == .incoming {
            if run.parts[file.place] == nil, PushRecord(reading: run.path(file.place, file.digest, .record)) != nil {
                add(file, to: &run)
            } else {
                try? Directories.remove(directory.appending(file.text))
            }
        }
        for file in files where file.kind == .record && run.parts[file.place]?.content.digest != file.digest {
            try? Directories.remove(directory.appending(file.text))
        }
        for name in names {
            guard let job = RunHold.job(of: name) else { continue }
            run.holds[job] = RunHold.read(directory.appending(name)) ?? []
        }
        guard !run.parts.isEmpty || !run.holds.isEmpty else {
            Directories.removeEmpty([directory])
            return nil
        }
        if !run.beganAt.isFinite { run.beganAt = run.lastActivity }
        return run
    }

    private static func add(_ file: PartFileName, to run: inout StoredRun) {
        guard let status = FileStatus(of: run.directory.appending(file.text)), status.kind == .file else { return }
        let record = PushRecord(reading: run.path(file.place, file.digest, .record))
        let isWhole = file.kind == .whole
        let byteCount = isWhole ? status.byteCount : record?.byteCount ?? status.byteCount
        run.parts[file.place] = StoredRun.Part(
            content: BlobReference(digest: file.digest, byteCount: byteCount),
            arrived: min(status.byteCount, byteCount),
            isWhole: isWhole, sender: record?.sender ?? "an unknown client")
        run.beganAt = min(run.beganAt, record?.beganAt ?? status.contentChangedAt)
        run.lastActivity = max(run.lastActivity, status.contentChangedAt)
    }
}
