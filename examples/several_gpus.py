"""Train on several GPUs, or processes on a CPU: torchrun --nproc-per-node 2 several_gpus.py."""

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

import voxloom as tio


def main() -> None:
    """Train for two epochs; say which subjects this rank saw."""
    on_gpu = torch.cuda.is_available()
    distributed.init_process_group("nccl" if on_gpu else "gloo")
    rank = distributed.get_rank()
    device = torch.device("cuda", rank % torch.cuda.device_count()) if on_gpu else None

    template = tio.datasets.MNI152()
    subjects = [tio.Subject(t1=template.t1, number=number) for number in range(4)]
    sampler = tio.UniformSampler(32)
    queue = tio.Queue(tio.SubjectsDataset(subjects), 16, 4, sampler, num_workers=1, seed=0)

    model = DistributedDataParallel(torch.nn.Conv3d(1, 1, 3, padding=1).to(device))
    optimizer = torch.optim.Adam(model.parameters())
    for epoch in range(2):
        seen = []
        for batch in queue.batches(4, device=device):
            voxels = batch["t1"][tio.DATA].float() / 255
            loss = torch.nn.functional.mse_loss(model(voxels), voxels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            seen += batch["number"].tolist()
        print(f"epoch {epoch} rank {rank} subjects {sorted(seen)}\n", end="", flush=True)
    queue.close()
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
