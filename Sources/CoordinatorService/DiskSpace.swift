import BlobStore
import Foundation
import JobFiles
import JobJournal
import Safetensors
import SystemPackage

/// Tells a full disk from other failures: it is waited for, since room can be made while the job runs.
enum DiskSpace {
    /// Whether an error says that a disk or a quota has no room left.
    static func isExhausted(_ error: any Error) -> Bool {
        switch error {
        case BlobStoreError.diskFull, JobJournalError.diskFull: true
        case let error as SafetensorsError: error.all.contains { if case .diskFull = $0 { true } else { false } }
        case let error as JobFileError:
            error.all.contains { if case .safetensors(.diskFull) = $0 { true } else { false } }
        case let error as Errno: error == .noSpace || error == .diskQuotaExceeded
        case let error as CocoaError: error.code == .fileWriteOutOfSpace
        default: false
        }
    }
}
