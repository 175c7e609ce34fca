import BlobStore
import FileAccess
import Foundation
import JobFiles
import JobJournal
import Publication
import Safetensors
import SystemPackage

/// Tells a full disk from other failures; a job waits for room, because room can be made while the job runs.
enum DiskSpace {
    /// Whether an error says that a disk or a quota has no room left.
    static func isExhausted(_ error: any Error) -> Bool {
        switch error {
        case JobJournalError.diskFull: true
        case let error as FileError: isExhausted(error)
        case BlobStoreError.file(let error): isExhausted(error)
        case let error as SafetensorsError:
            error.all.contains { if case .file(let error) = $0 { isExhausted(error) } else { false } }
        case let error as JobFileError: error.files.contains(where: isExhausted)
        case let error as PublicationError: error.code?.isLackOfRoom == true
        case let error as Errno: error.isLackOfRoom
        case let error as CocoaError: error.code == .fileWriteOutOfSpace
        default: false
        }
    }

    /// Whether an error says that a place cannot be written, and that another attempt would fail too.
    static func isRefused(_ error: any Error) -> Bool {
        switch error {
        case let error as PublicationError: WriteFailure.isLasting(error)
        case let error as FileError: isRefused(error)
        case let error as SafetensorsError:
            error.all.contains { if case .file(let error) = $0 { isRefused(error) } else { false } }
        case let error as JobFileError: error.files.contains(where: isRefused)
        case FileRootsError.callFailed(_, _, let code): WriteFailure.isLasting(code)
        case let error as Errno: WriteFailure.isLasting(error)
        default: false
        }
    }

    private static func isExhausted(_ error: FileError) -> Bool { error.code?.isLackOfRoom == true }

    private static func isRefused(_ error: FileError) -> Bool {
        error.code.map(WriteFailure.isLasting) ?? false
    }
}
