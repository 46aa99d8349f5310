"""Label, digest and device seconds of every image that has votes."""

from collections.abc import Mapping

import pyarrow as pa

_BY = ("image_key", "label", "image_sha256")
_TABLE = pa.schema(
    [
        ("image_key", pa.string()),
        ("label", pa.int32()),
        ("image_sha256", pa.string()),
        ("seconds", pa.float64()),
    ]
)
_LEAST_PENDING = 512


class SeenImages:
    """What is known of images beside their votes, added up as rows come."""

    def __init__(self) -> None:
        self._parts: list[pa.Table] = []
        self._pending = 0

    def add(self, rows: pa.Table) -> None:
        """Take notice of some rows.

        Args:
            rows: with the columns of :meth:`table`.
        """
        self._parts.append(_summed(rows.select(_TABLE.names)))
        self._pending += len(self._parts[-1])
        if self._pending > 2 * len(self._parts[0]) + _LEAST_PENDING:
            self.table()

    def table(self) -> pa.Table:
        """Return a row per image, and more of one whose labels or digests differ.

        Returns:
            ``image_key``, ``label``, ``image_sha256``, ``seconds``; in no order.
        """
        self._parts = [_summed(pa.concat_tables([_TABLE.empty_table(), *self._parts]))]
        self._pending = 0
        return self._parts[0]


def _summed(rows: pa.Table) -> pa.Table:
    summed = rows.group_by(list(_BY)).aggregate([("seconds", "sum")])
    return summed.select([*_BY, "seconds_sum"]).rename_columns(_TABLE.names)


def require_same_images(
    images: pa.Table, digests: Mapping[str, str], where: str
) -> None:
    """Refuse to add votes for an image whose content has changed.

    Args:
        images: that have votes, as :meth:`SeenImages.table` returns them.
        digests: SHA-256 of each image asked for, by key.
        where: OUT, for the error.

    Raises:
        ValueError: an image's votes were cast on other content.
    """
    pairs = (images[name].to_pylist() for name in ("image_key", "image_sha256"))
    for key, stored in zip(*pairs, strict=True):
        if stored is None:  # it was set aside before anybody read it
            continue
        if digests.get(key, stored) != stored:
            raise ValueError(
                f"certify needs the images its votes were cast on; {where} has votes "
                f"for {key!r} with sha256 {stored[:12]}, now it is "
                f"{digests[key][:12]}. Restore the image, or take another --out."
            )
